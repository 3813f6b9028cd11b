// Servers that others wrote, of both eras and over both transports, behind stepup: what each lists and answers is what it
// lists and answers directly, and what is stopped is approved by a person and runs once.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { challenge, words } from "../lib/agent.mjs";
import { arrivals, teeHttp } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, address, behind, program } from "../lib/clients.mjs";
import { pinned, table } from "../lib/documented.mjs";
import { Home, until } from "../lib/home.mjs";
import { MODERN_CLIENTS, PINNED } from "../lib/peers.mjs";
import { FASTMCP_3, FASTMCP_4, memory, overHttp, watched } from "../lib/upstreams.mjs";

const RULES = `
@id("agents-read") permit (principal in Group::"ops-agents",
  action in [Action::"prompts/get", Action::"resources/read", Action::"completion/complete"], resource);
@id("books") @stepup("release-approval") forbid (principal, action == Action::"resources/read", resource)
unless { resource.uri like "shop://item/*" || ["shop://opening-hours", "shop://logo", "memory://knowledge-graph"].contains(resource.uri) };
`;

const entity = (name) => ({ name, entityType: "person", observations: [`${name} \u202esays "hello"`, ""] });
const [ada, bob] = ["Ada", "Bob"];

/** What is called, read and got of each kind of server; `stopped` is a call that nobody reviewed as harmless. */
const KINDS = {
  memory: {
    calls: [
      ["create_entities", { entities: [entity(ada), entity(bob)] }],
      ["create_relations", { relations: [{ from: ada, to: bob, relationType: "knows" }] }],
      ["add_observations", { observations: [{ entityName: bob, contents: ["older", "\u{1f510}"] }] }],
      ["add_observations", { observations: [{ entityName: "nobody", contents: ["x"] }] }],
      ["search_nodes", { query: "older" }],
      ["open_nodes", { names: [ada, "nobody"] }],
      ["delete_observations", { deletions: [{ entityName: bob, observations: ["older"] }] }],
      ["delete_relations", { relations: [{ from: ada, to: bob, relationType: "knows" }] }],
      ["read_graph", {}],
    ],
    reads: ["memory://knowledge-graph"],
    stopped: ["delete_entities", { entityNames: [ada, bob] }, /deleted/],
  },
  shop: {
    calls: [
      ["price", { item: "chair \u202e" }],
      ["price", { item: "", amount: 0.1 }],
      ["add", { a: 9007199254740991, b: -1.5 }],
      ["names", { count: 3 }],
      ["names", { count: 0 }],
      ["picture", {}],
      ["fail", { why: "it is so" }],
    ],
    reads: ["shop://opening-hours", "shop://logo", "shop://item/chair", "shop://item/nothing%20there"],
    prompts: [["ask", { item: "chair" }], ["ask", { item: "\n\"", tone: "rude" }], ["ask", {}]],
    progress: ["climb", { steps: 3 }],
    stopped: ["sell", { item: "chair" }, /sold chair/],
    books: "shop://books",
  },
};

const v1 = ["TypeScript SDK", CLIENTS["TypeScript SDK"], "legacy"];
const v2 = (mode) => [`TypeScript SDK 2, ${mode}`, MODERN_CLIENTS["TypeScript SDK 2"], mode];
/** Each server: its package, how it is reached, and with which clients. What a client speaks directly it speaks through. */
const SERVERS = {
  memory: { kind: "memory", of: ["peers/package-lock.json", "@modelcontextprotocol/server-memory"], over: "stdio", clients: [v1] },
  "fastmcp-3": { kind: "shop", of: ["requirements.txt", "fastmcp"], command: FASTMCP_3, over: "stdio", clients: [v1] },
  "fastmcp-3-http": { kind: "shop", of: ["requirements.txt", "fastmcp"], command: FASTMCP_3, over: "HTTP", clients: [v2("legacy")] },
  "fastmcp-4": { kind: "shop", of: ["peers-modern/requirements.txt", "fastmcp"], command: FASTMCP_4, over: "stdio", clients: [v1] },
  "fastmcp-4-http": { kind: "shop", of: ["peers-modern/requirements.txt", "fastmcp"], command: FASTMCP_4, over: "HTTP", clients: [v2("legacy"), v2(PINNED)] },
};

let home, alice;
/** A caller for each client: what one has used up is another's to ask for. */
const keys = {};
const directly = {};
const stops = [];

before(async () => {
  home = await Home.make({ challenge: { hold: "20s" } });
  const all = {};
  for (const [name, { kind, command, over }] of Object.entries(SERVERS)) {
    const tools = { "*": { reviewed: "read-only" }, [KINDS[kind].stopped[0]]: { reviewed: "acts" } };
    if (over === "HTTP") {
      const { port, stop } = await overHttp(command);
      const tee = await teeHttp(port, home.arrivals, name);
      stops.push(stop, () => (tee.closeAllConnections(), tee.close()));
      directly[name] = address(`http://127.0.0.1:${port}/mcp`);
      all[name] = { url: `http://127.0.0.1:${tee.address().port}/mcp`, tools };
    } else {
      const own = (where) => command ?? memory(join(home.outside, `${where}.jsonl`));
      directly[name] = program(...own("direct"));
      all[name] = { command: watched(home, name, own("through")), env: ENV, tools };
    }
  }
  home.upstreams(all);
  writeFileSync(join(home.folder, "policies/asking.cedar"), RULES);
  await home.serve();
  for (const [sdk] of [v1, v2("legacy"), v2(PINNED)]) keys[sdk] = await home.caller(sdk.toLowerCase().replaceAll(/\W+/g, "-"));
  alice = await home.person();
  for (const [name, { kind }] of Object.entries(SERVERS)) await home.pinned(`${name}/${KINDS[kind].stopped[0]}`);
});

after(async () => {
  for (const stop of stops) stop();
  await home?.remove();
});

const told = ({ code, message, data }) => ({ error: { code, message, data } });

/** Without what marks an answer's era: here a client and its upstream may be of two. */
const MARKS = ["resultType", "ttlMs", "cacheScope"];
function unmarked(answer) {
  const { _meta: { "io.modelcontextprotocol/serverInfo": _, ...meta } = {}, ...rest } = JSON.parse(JSON.stringify(answer));
  for (const mark of MARKS) delete rest[mark];
  return { ...rest, ...(Object.keys(meta).length > 0 && { _meta: meta }) };
}

/** Lists: under which capability, the member of the answer, and what an item is named by. */
const LISTS = {
  listTools: ["tools", "tools", "name"],
  listResources: ["resources", "resources", "uri"],
  listResourceTemplates: ["resources", "resourceTemplates", "uriTemplate"],
  listPrompts: ["prompts", "prompts", "name"],
};

async function lists(client) {
  const all = {};
  for (const [list, [capability, member, by]] of Object.entries(LISTS)) {
    if (!client.getServerCapabilities()[capability]) continue;
    const items = (await client[list]())[member].filter(({ name }) => !name.startsWith("stepup_"));
    all[member] = items.map((item) => ({ ...item, description: item.description?.replace(/(\n\n)?May need: [^.]+\.$/, "") }))
      .sort((a, b) => (a[by] < b[by] ? -1 : 1));
  }
  return all;
}

/** How often a tool or a resource was reached. */
const ran = (name, what) => arrivals(home.arrivals).filter(({ tool }) => tool === `${name}/${what}`).length;

for (const [name, { kind, of, over, clients }] of Object.entries(SERVERS)) {
  for (const [sdk, Client, mode] of clients) {
    describe(`${name}, ${sdk}`, () => {
      const { calls, reads, prompts = [], progress, stopped, books } = KINDS[kind];
      let direct, through;

      before(async () => {
        direct = await Client.connect({ ...directly[name], mode });
        through = await Client.connect({ ...behind(home, name, keys[sdk]), mode });
      });

      after(async () => {
        await through?.close();
        await direct?.close();
      });

      test("lists the same tools, resources, templates and prompts", async () => {
        const [expected, got] = [await lists(direct.client), await lists(through.client)];
        assert.ok(Object.keys(expected).length === (prompts.length ? 4 : 3) && expected.tools.length > 0 && expected.resources.length > 0);
        assert.deepEqual(got, expected);
      });

      test("gets the same answers", async () => {
        const all = [
          ...calls.map(([tool, args]) => (client) => client.call(tool, args)),
          ...reads.map((uri) => ({ client }) => client.readResource({ uri })),
          ...prompts.map(([prompt, args]) => ({ client }) => client.getPrompt({ name: prompt, arguments: args })),
        ];
        for (const [i, ask] of all.entries()) {
          const [expected, got] = [await ask(direct).catch(told), await ask(through).catch(told)];
          assert.deepEqual(unmarked(got), unmarked(expected), `the ${i}th`);
        }
      });

      if (progress) test("hears of the same progress", async () => {
        const heard = async (client) => {
          const all = [];
          await client.call(...progress, { onprogress: (p) => all.push(p) });
          return all.slice(0, 2).map(({ progress, total }) => ({ progress, total }));
        };
        assert.deepEqual(await heard(direct), [{ progress: 1, total: 3 }, { progress: 2, total: 3 }]);
        assert.deepEqual(await heard(through), await heard(direct));
      });

      test("is stopped at what acts, which a person approves and which runs once", async () => {
        const [tool, args, says] = stopped;
        const before = ran(name, tool);
        const { elevation } = challenge(await through.call(tool, args));
        assert.equal(ran(name, tool), before);
        await alice.approve(elevation);
        assert.match(words(await through.call("stepup_run", { elevation })), says);
        assert.equal((await through.call("stepup_run", { elevation })).isError, true);
        assert.equal(ran(name, tool), before + 1);
      });

      if (books) test("is stopped at what may not be read, which a person approves and which is read once", async () => {
        const before = ran(name, books);
        const read = (client) => client.client.readResource({ uri: books });
        const stopped = await read(through).then(() => assert.fail("it was read"), (error) => error);
        assert.deepEqual([stopped.code, stopped.data.slug], [1023, "approval_required"]);
        await alice.approve(stopped.data.elevation);
        assert.deepEqual(unmarked(await read(through)), unmarked(await read(direct)));
        assert.equal(ran(name, books), before + 1);
      });
    });
  }
}

test("docs/compatibility.md names each with its version", () => {
  const rows = table("Upstreams").map((cells) => cells.join(" "));
  for (const { of, over } of Object.values(SERVERS)) {
    const row = rows.find((row) => row.includes(of[1]) && row.includes(pinned(...of)));
    assert.ok(row?.includes(over), `${of[1]} ${pinned(...of)} over ${over}`);
  }
});

test("the checker finds one permit for each arrival, and the log verifies", async () => {
  assert.ok((await home.judge({ canaries: Object.values(keys) })).arrivals > 0);
});
