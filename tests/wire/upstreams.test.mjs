// Upstreams that lie, die or are not there, behind the real binary: callers get the truth, nobody else notices, and
// nothing that an upstream says is taken for ours.
import assert from "node:assert/strict";
import http from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Agent, read, refusal } from "../lib/agent.mjs";
import { arrived } from "../lib/arrivals.mjs";
import { Home, TESTS, freePort, sleep, until } from "../lib/home.mjs";
import { LIES } from "../lib/liar.mjs";
import { ops } from "../lib/upstreams.mjs";

const LIAR = join(TESTS, "lib/liar.mjs");
const READ = { "*": { reviewed: "read-only" } };

let home, key, agent, healthy, missing;

before(async () => {
  missing = await freePort();
  home = await Home.make({
    upstreams: (home) => ({
      ops: ops(home),
      liar: { command: [process.execPath, LIAR, home.arrivals, "liar"], tools: READ },
      fickle: { command: [process.execPath, LIAR, home.arrivals, "fickle"], share: "all", tools: READ },
      away: { url: `http://127.0.0.1:${missing}/mcp`, tools: READ },
    }),
  });
  await home.serve();
  key = await home.caller("agent");
  await home.pinned("liar/honest");
  await home.pinned("ops/get_ticket");
  agent = await Agent.open(home, "liar", key);
  healthy = await Agent.open(home, "ops", await home.caller("other"));
});

after(() => home?.remove());

async function assertHealthy() {
  assert.equal((await healthy.call("get_ticket", { id: "OPS-17" })).structuredContent.id, "OPS-17");
  assert.ok(home.alive);
}

/** A call's answer; with a token, all of its stream. */
const call = (name, meta) =>
  agent.post({ jsonrpc: "2.0", id: agent.next(), method: "tools/call", params: { name, arguments: {}, ...(meta && { _meta: meta }) } });

describe("an upstream that is not there when stepup starts", () => {
  const ask = (lost) => lost.post({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "late", arguments: {} } });

  test("hinders nobody, is named, is tried less and less often, and is served once it is there", async () => {
    const operations = async () => JSON.parse((await home.operations("/readyz")).text);
    assert.deepEqual((await operations()).upstreams_unreached, ["away"]);
    assert.equal((await home.operations("/readyz")).status, 200);
    const lost = await Agent.open(home, "away", key);
    const told = read(await ask(lost)).result;
    assert.equal(refusal(told).slug, "upstream_unreachable");
    assert.match(told.content[0].text, /did not run\. Make the same call again/);
    await assertHealthy();

    // What is there now hangs up on whoever comes, and counts.
    let tries = 0;
    const rude = http.createServer((request) => { tries += 1; request.socket.destroy(); });
    await new Promise((done) => rude.listen(missing, "127.0.0.1", done));
    await Promise.all(Array.from({ length: 20 }, () => ask(lost)));
    await sleep(4000);
    assert.ok(tries >= 1 && tries <= 8, `${tries} tries within 4 s`);
    rude.closeAllConnections();
    await new Promise((done) => rude.close(done));

    const server = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      if (request.method !== "POST") return response.writeHead(405).end();
      const body = Buffer.concat(chunks).toString();
      arrived(home.arrivals, "away", body);
      const { id, method } = JSON.parse(body);
      const results = {
        initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "late", version: "1" } },
        "tools/list": { tools: [{ name: "late", inputSchema: { type: "object" } }] },
        "tools/call": { content: [{ type: "text", text: "here I am" }] },
      };
      if (id === undefined) return response.writeHead(202).end();
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, result: results[method] }));
    });
    await new Promise((done) => server.listen(missing, "127.0.0.1", done));
    await home.pinned("away/late");
    assert.equal(read(await ask(lost)).result.content[0].text, "here I am");
    assert.deepEqual((await operations()).upstreams_unreached, []);

    // Known now, and gone again: what was approved would still be good, and nothing is sent.
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    const fresh = await Agent.open(home, "away", key);
    assert.equal(refusal(read(await ask(fresh)).result).slug, "upstream_unreachable");
    assert.deepEqual((await operations()).upstreams_unreached, ["away"]);
  });
});

describe("an upstream that lies", () => {
  const YOURS = ({ result }) => assert.equal(result.content[0].text, "yours");
  const invalid = ({ result }) => assert.equal(refusal(result).slug, "upstream_invalid");
  const gone = ({ result }) => {
    assert.equal(refusal(result).slug, "upstream_unreachable");
    assert.match(result.content[0].text, /nobody knows whether it took effect/);
  };
  /** What the caller is told, by how the upstream lied. */
  const TOLD = {
    honest: YOURS, foreign_id: YOURS, twice: YOURS, not_json: YOURS, nan: YOURS, not_utf8: YOURS, notifies: YOURS,
    no_version: invalid, result_number: invalid, result_list: invalid, result_null: invalid, both: invalid, neither: invalid,
    error_text: invalid, error_code_text: invalid, is_error_text: invalid, is_error_twice: invalid, deep: invalid,
    dies: gone, closes: gone, half: gone, huge: gone,
    surrogate: ({ result }) => assert.equal(result.content[0].text, "\ufffd"),
    big: ({ result }) => assert.equal(result.content[0].text.length, 8 << 20),
    error_message_huge: ({ error }) => assert.equal(error.code, -32000),
    error_with_data: ({ error }) => assert.deepEqual(error, { code: -32001, message: "no ship", data: { n: 1, _meta: {} } }),
    error_of_ours: ({ error }) => assert.notEqual(error.data?.slug, "approval_required", "it speaks in our name"),
    elicitation: ({ result }) => {
      assert.equal(refusal(result).slug, "upstream_needs_feature");
      assert.ok(!/evil|open this/.test(JSON.stringify(result)), "what it wants opened is passed on");
    },
    spoofs: ({ result }) => assert.deepEqual(result._meta, { a: 1 }),
    asks: ({ result }) => {
      const replies = Object.values(JSON.parse(result.content[0].text));
      assert.deepEqual(replies, Array(5).fill(-32601));
    },
  };

  for (const [lie, assertTold] of Object.entries(TOLD)) {
    test(lie, async () => {
      // One that just died is given a moment before it is started again.
      await until("the upstream to be there", async () => refusal(read(await call("honest")).result ?? {})?.slug !== "upstream_unreachable");
      assertTold(read(await call(lie)));
      await assertHealthy();
    });
  }

  test("all lies are told of here", () => {
    assert.deepEqual(Object.keys(LIES).filter((lie) => !(lie in TOLD)), ["progress", "changes"]);
  });

  test("progress that falls, is none or breaks lines is left out; what is told only rises", async () => {
    const { text, headers } = await call("progress", { progressToken: "mine" });
    assert.equal(headers["content-type"], "text/event-stream");
    const messages = text.split("\n\n").flatMap((event) => event.split("\n").filter((line) => line.startsWith("data: "))).map((line) => JSON.parse(line.slice(6)));
    const answer = messages.pop();
    assert.equal(answer.result.content[0].text, "yours");
    const told = messages.map(({ params }) => params.progress);
    assert.deepEqual(told, [...told].sort((a, b) => a - b));
    assert.deepEqual(told.slice(0, 2), [1, 3]);
    assert.ok(messages.every(({ params }) => params.progressToken === "mine"));
    await assertHealthy();
  });

  test("a tool that changes in the middle of a session is stopped, and so is a new one", async () => {
    const fickle = await Agent.open(home, "fickle", key);
    await home.pinned("fickle/honest");
    assert.equal((await fickle.call("honest")).content[0].text, "yours");
    assert.equal((await fickle.call("changes")).content[0].text, "changed");
    const stopped = await until("the change to be seen", async () => refusal(await fickle.call("honest"))?.slug);
    assert.equal(stopped, "tool_quarantined");
    assert.equal(refusal(await fickle.call("fresh")).slug, "tool_quarantined");
    assert.equal((await fickle.call("twice")).content[0].text, "yours");
  });
});

test("the checker agrees, and nothing panicked", async () => {
  await sleep(200); // outcomes of baseline calls are collected before they are recorded
  await home.judge({ canaries: [key] });
  assert.ok(!/panick/i.test(home.said()), "a panic");
});
