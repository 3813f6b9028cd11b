// A client that only starts programs reaches the same gateway through `stepup stdio`, with the same answers.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { challenge, words } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, address, behind } from "../lib/clients.mjs";
import { Home, until } from "../lib/home.mjs";
import { EVERYTHING, ops, watched } from "../lib/upstreams.mjs";
import { comparable, everything } from "./matrix.mjs";

const Direct = CLIENTS["TypeScript SDK"];
const production = (version) => ({ service: "checkout", version, environment: "production" });

let home, key, alice;

before(async () => {
  home = await Home.make({
    challenge: { hold: "20s", hold_with_progress: "30s" },
    upstreams: (home) => ({
      ops: ops(home),
      everything: { command: watched(home, "everything", EVERYTHING), env: ENV, tools: { "*": { reviewed: "read-only" } } },
    }),
  });
  await home.serve();
  key = await home.caller("desktop");
  alice = await home.person();
  for (const tool of ["ops/deploy", "everything/echo"]) await home.pinned(tool);
});

after(() => home?.remove());

/** A client as such clients configure it: a program, its arguments, and its environment with the key. Without an upstream: all. */
const started = (upstream) => start({
  command: join(process.env.STEPUP_BIN, "stepup"),
  args: ["stdio", ...(upstream ? ["--upstream", upstream] : []), "--url", home.agentsUrl],
  env: { STEPUP_KEY: key },
});

async function start(program) {
  const client = new Client({ name: "stepup-tests", version: "1" });
  const transport = new StdioClientTransport({ ...program, stderr: "pipe" });
  const said = [];
  transport.stderr.on("data", (chunk) => said.push(chunk));
  await client.connect(transport);
  // As it comes: the SDK handles a notification after an answer that came in one breath with it.
  const lines = [];
  const { onmessage } = transport;
  transport.onmessage = (message, extra) => {
    lines.push(message.method ?? "answer");
    onmessage(message, extra);
  };
  return { client, said, lines };
}

const told = ({ code, message, data }) => ({ error: { code, message, data } });

describe("through stepup stdio", () => {
  test("a client lists the same tools and gets the same answers and progress as directly", async () => {
    const { client, said, lines } = await started("everything");
    const direct = await Direct.connect(behind(home, "everything", key));
    assert.deepEqual((await client.listTools()).tools, await direct.list());
    assert.deepEqual(client.getServerVersion(), direct.version());
    for (const [name, args] of everything) {
      const got = await client.callTool({ name, arguments: args }).catch(told);
      const expected = await direct.call(name, args).catch(told);
      assert.deepEqual(comparable(got), comparable(expected), name);
    }
    const heard = async (call) => {
      const all = [];
      await call({ onprogress: (p) => all.push(p) });
      return all.slice(0, 2).map(({ progress, total }) => ({ progress, total }));
    };
    const [name, args] = ["trigger-long-running-operation", { duration: 0.4, steps: 3 }];
    lines.length = 0;
    const through = await heard((how) => client.callTool({ name, arguments: args }, undefined, how));
    assert.deepEqual(lines, [...Array(3).fill("notifications/progress"), "answer"], "all of it before the answer");
    assert.deepEqual(through, [{ progress: 1, total: 3 }, { progress: 2, total: 3 }]);
    assert.deepEqual(through, await heard((how) => direct.call(name, args, how)));
    await direct.close();
    await client.close();
    assert.deepEqual(said, [], "nothing is wrong");
  });

  test("a stopped call is told with its link and words, and runs once it is approved", async () => {
    const { client } = await started("ops");
    const stopped = await client.callTool({ name: "deploy", arguments: production("3.0.1") });
    const { elevation, link, words: four } = challenge(stopped);
    for (const part of ["NOT EXECUTED", elevation, link, four, "stepup_run"]) assert.ok(words(stopped).includes(part), part);
    await alice.approve(elevation);
    const done = await client.callTool({ name: "stepup_run", arguments: { elevation } });
    assert.equal(done.structuredContent.version, "3.0.1");
    assert.equal(arrivals(home.arrivals).filter(({ tool }) => tool.endsWith("deploy")).length, 1);
    await client.close();
  });

  test("a held call is taken back, and the next one is answered at once", async () => {
    const { client } = await started("ops");
    const give = new AbortController();
    const how = { signal: give.signal, onprogress: () => {}, timeout: 30_000 };
    const held = client.callTool({ name: "deploy", arguments: production("3.0.2") }, undefined, how);
    const waits = async () => (await home.pending()).find(({ title }) => title.includes("3.0.2"));
    const { request } = await until("the request", waits);
    give.abort("the user changed their mind");
    await assert.rejects(held);
    await until("the request to be withdrawn", async () => !(await waits()));
    const { requests } = await home.cli("requests", "list", "--all");
    assert.equal(requests.find((one) => one.request === request).state, "withdrawn");
    assert.equal((await client.callTool({ name: "get_ticket", arguments: { id: "OPS-17" } })).structuredContent.id, "OPS-17");
    await client.close();
  });
});

describe("all upstreams at one address", () => {
  const echo = { message: "one of many" };

  for (const [sdk, SDK] of Object.entries(CLIENTS)) {
    test(`${sdk}: each tool is there under its upstream's name and gives the same answer as at its upstream alone`, async () => {
      const all = await SDK.connect(address(`${home.agentsUrl}/mcp`, key));
      const names = (await all.list()).map(({ name }) => name);
      assert.deepEqual(names.filter((name) => !name.includes("__")), ["stepup_run", "stepup_status", "stepup_preflight"]);
      for (const upstream of ["ops", "everything"]) {
        const one = await SDK.connect(behind(home, upstream, key));
        const own = (await one.list()).map(({ name }) => name).filter((name) => !name.startsWith("stepup_"));
        assert.deepEqual(names.filter((name) => name.startsWith(`${upstream}__`)), own.map((name) => `${upstream}__${name}`));
        if (upstream === "everything") assert.deepEqual(await all.call("everything__echo", echo), await one.call("echo", echo));
        await one.close();
      }
      await all.close();
    });
  }

  test("what is stopped there runs at its upstream's own address once it is approved", async () => {
    const { client } = await started();
    const stopped = await client.callTool({ name: "ops__deploy", arguments: production("4.0.1") });
    await alice.approve(challenge(stopped).elevation);
    const { client: one } = await started("ops");
    const done = await one.callTool({ name: "deploy", arguments: production("4.0.1") });
    assert.equal(done.structuredContent.version, "4.0.1");
    const { resources } = await client.listResources();
    const { uri } = resources.find(({ uri }) => uri.startsWith("stepup+everything+"));
    await assert.rejects(client.readResource({ uri }), { code: 1013 }, "no rule here permits reads, at this address as at any");
    await one.close();
    await client.close();
  });
});

describe("what stepup connect writes for a client that only starts programs", () => {
  const echo = { message: "written down" };

  for (const [form, tools] of Object.entries({
    "one entry for all": { stepup: "everything__echo" },
    "--each": { "stepup-everything": "echo", "stepup-ops": "get_ticket" },
  })) {
    test(`${form}: is started as written, and its tools are there`, async () => {
      const [file, keyFile] = ["desktop.json", "desktop.key"].map((name) => join(home.root, name));
      writeFileSync(keyFile, key, { mode: 0o600 });
      const flags = ["--file", file, "--key-file", keyFile, "--yes", ...(form === "--each" ? [form] : [])];
      assert.deepEqual((await home.cli("connect", "claude-desktop", ...flags)).added.sort(), Object.keys(tools));
      const { mcpServers } = JSON.parse(readFileSync(file, "utf8"));
      assert.deepEqual(Object.keys(mcpServers).sort(), Object.keys(tools));
      for (const [entry, tool] of Object.entries(tools)) {
        const { client } = await start(mcpServers[entry]);
        assert.ok((await client.listTools()).tools.some(({ name }) => name === tool), entry);
        if (tool.endsWith("echo")) assert.equal(words(await client.callTool({ name: tool, arguments: echo })), "Echo: written down");
        await client.close();
      }
    });
  }
});

test("the checker agrees, and the key is in no output", async () => {
  assert.ok((await home.judge({ canaries: [key] })).arrivals > 0);
});
