// Every feature of MCP between a client of each revision and an upstream of each, over both transports: through stepup it is as
// directly, or an error names what is not carried. What is expected is the table of docs/compatibility.md, cell by cell.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { refusal, words } from "../lib/agent.mjs";
import { arrived, teeHttp } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, address, behind, program } from "../lib/clients.mjs";
import { table } from "../lib/documented.mjs";
import { Home, TESTS, until } from "../lib/home.mjs";
import { MODERN_CLIENTS, NODE, PINNED } from "../lib/peers.mjs";
import { overHttp, watched } from "../lib/upstreams.mjs";

const OLD = "2025-06-18";
const ERAS = [OLD, "2025-11-25", PINNED];
const TRANSPORTS = ["HTTP", "stdio"];
const TEXT = "\u202e plain, \u{1f510}\n";
const PAGE = "features://page";
const RULES = `
@id("agents-ask") permit (principal in Group::"ops-agents",
  action in [Action::"prompts/get", Action::"resources/read", Action::"completion/complete"], resource);
`;

/** What a client is asked, and what it answers. */
const ANSWERS = {
  "elicitation/create": ({ mode }) => ({ action: "accept", ...(mode !== "url" && { content: { name: "Ada" } }) }),
  "sampling/createMessage": () => ({ role: "assistant", content: { type: "text", text: TEXT }, model: "m" }),
  "roots/list": () => ({ roots: [{ uri: "file:///srv", name: "srv" }] }),
};

/**
 * A client of one revision that has every feature of it, and keeps what it is told and asked: of the SDK 2.x without sessions, of
 * 1.x with one. `answered` is told of each tool within whose call it answered.
 */
async function connect(revision, target, answered = () => {}) {
  const modern = revision === PINNED;
  const capabilities = { sampling: {}, roots: {}, elicitation: revision === OLD ? {} : { form: {}, url: {} } };
  const Client = modern ? MODERN_CLIENTS["TypeScript SDK 2"] : CLIENTS["TypeScript SDK"];
  const one = await Client.connect({ ...target, only: revision, mode: PINNED, capabilities });
  const { client } = one;
  const [asked, heard] = [[], []];
  const answer = async ({ method, params = {} }) => (asked.push({ method, params }), ANSWERS[method](params));
  client.fallbackNotificationHandler = async (note) => heard.push(note);
  if (modern) for (const method of Object.keys(ANSWERS)) client.setRequestHandler(method, answer);
  else client.fallbackRequestHandler = answer;
  /** Calls a tool; what stepup refuses is thrown, as it is of what is no tool. */
  const call = async (name, args, how) => {
    const result = await one.call(name, args, how);
    if (refusal(result)) throw Object.assign(new Error(words(result)), { data: refusal(result) });
    return result;
  };
  const hears = (method) => until(method, () => heard.some((note) => note.method === method), 3_000).then(() => true, () => false);
  return { client, modern, asked, heard, call, hears, answered, close: () => one.close() };
}

const asks = (name) => async ({ asked, call, answered }) => {
  asked.length = 0;
  const answer = await call(`ask_${name}`, {});
  if (asked.length > 0) answered(`ask_${name}`);
  return { answer, asked: [...asked] };
};

/** Opens an address; answers whether it is told that this is over. */
async function opens({ heard, call, answered }) {
  heard.length = 0;
  await call("ask_and_tell", {});
  answered("ask_and_tell");
  return heard.some(({ method }) => method === "notifications/elicitation/complete") ? "told" : "not told";
}

/** Adds a resource, with somebody who listens for that. */
async function adds({ client, modern, heard, call, hears }) {
  heard.length = 0;
  const listening = modern && await client.listen({ resourcesListChanged: true });
  const uri = words(await call("add", {}));
  const told = await hears("notifications/resources/list_changed");
  const { resources } = await client.listResources();
  await listening?.close?.();
  return { told, listed: resources.some((one) => one.uri === uri) };
}

async function subscribes({ client, modern, heard, call, hears }) {
  heard.length = 0;
  const listening = modern && await client.listen({ resourceSubscriptions: [PAGE] });
  if (listening && !listening.honoredFilter.resourceSubscriptions) return "not told";
  if (!modern) await client.subscribeResource({ uri: PAGE });
  await call("touch", { text: PAGE });
  await hears("notifications/resources/updated");
  if (modern) await listening.close();
  else await client.unsubscribeResource({ uri: PAGE });
  return [...heard];
}

async function logs({ client, modern, heard, call }) {
  heard.length = 0;
  if (!modern) await client.setLoggingLevel("info");
  const answer = await call("log", {}, modern && { _meta: { "io.modelcontextprotocol/logLevel": "info" } });
  return { answer, heard: [...heard] };
}

async function progresses({ call }) {
  const heard = [];
  const answer = await call("climb", {}, { onprogress: (notice) => heard.push(notice) });
  // An SDK may lose what comes in one breath with the answer.
  return { answer, heard: heard.slice(0, 2) };
}

/** Takes a call back once it runs; answers whether its server was told. */
async function cancels({ call }) {
  const waits = async () => JSON.parse(words(await call("waits", {})));
  const [stop, then] = [new AbortController(), await waits()];
  const call_ = call("wait", {}, { signal: stop.signal }).then(() => "answered", () => "rejected");
  await until("the call to run", async () => (await waits()).started > then.started);
  stop.abort("no more");
  const told = await until("its server to be told", async () => (await waits()).cancelled > then.cancelled, 3_000).then(() => true, () => false);
  return [await call_, told];
}

/**
 * By the row of the table: what is done, and between which clients and upstreams there is such a thing. `otherwise`: what is
 * over stdio where the table says "same over HTTP".
 */
const FEATURES = {
  "`tools/call`": { run: ({ call }) => call("say", { text: TEXT }) },
  "`resources/read`": { run: ({ client }) => client.readResource({ uri: PAGE }) },
  "resource templates": { run: async ({ client }) => [await client.listResourceTemplates(), await client.readResource({ uri: `${PAGE}/2` })] },
  "`prompts/get`": { run: async ({ client }) => [await client.listPrompts(), await client.getPrompt({ name: "greet", arguments: { who: TEXT } })] },
  "`completion/complete`": { run: ({ client }) => client.complete({ ref: { type: "ref/prompt", name: "greet" }, argument: { name: "who", value: "A" } }) },
  "progress": { run: progresses },
  "what is logged": { run: logs },
  "that a list changes": { run: async (one) => (await adds(one)).told },
  "what a call adds to a list": { run: async (one) => (await adds(one)).listed, otherwise: false },
  "that a resource changes": { run: subscribes },
  "elicitation, a form": { run: asks("form") },
  "elicitation by URL": { run: asks("url"), of: (client, upstream) => client > OLD && upstream > OLD },
  "the same of a client of 2025-06-18": { run: asks("url"), of: (client, upstream) => client === OLD && upstream > OLD },
  "that an address was opened": { run: opens, of: (client, upstream) => client === upstream && client > OLD && client < PINNED },
  "elicitation by URL, by `-32042`": { run: ({ call }) => call("open_first", {}), of: (_, upstream) => upstream > OLD && upstream < PINNED },
  "sampling": { run: asks("sampling") },
  "roots": { run: asks("roots") },
  "cancellation": { run: cancels, last: true },
  "a form, after a cancelled call": {
    run: asks("form"), last: true, of: (client, upstream) => client < PINNED || upstream === PINNED,
    otherwise: { answer: { content: [{ type: "text", text: "it is not known within which call this is asked" }], isError: true }, asked: [] },
  },
};

const COLUMNS = [["session", "session"], ["session", PINNED], [PINNED, "session"], [PINNED, PINNED]];
const kind = (revision) => (revision === PINNED ? PINNED : "session");
const rows = Object.fromEntries(table("Across revisions").map(([row, ...cells]) => [row, cells]));
const cell = (feature, client, upstream) => rows[feature][COLUMNS.findIndex(([from, to]) => from === kind(client) && to === kind(upstream))];

/** Without what marks an answer's or a question's era: here a client and its upstream may be of two. */
const MARKS = [
  "jsonrpc", "resultType", "ttlMs", "cacheScope", "mode", "elicitationId", "io.modelcontextprotocol/serverInfo", "io.modelcontextprotocol/subscriptionId",
];
const unmarked = (value) => JSON.parse(JSON.stringify(value), (name, part) =>
  (MARKS.includes(name) || name === "_meta" && Object.keys(part).length === 0 ? undefined : part));
/** What a tool was answered and says again, whatever the order of its members. */
const read = ({ answer, asked, ...rest }) => ({ ...rest, asked, answer: asked.length > 0 ? JSON.parse(words(answer)) : answer });
const comparable = (value) => unmarked(value?.asked ? read(value) : value);

/** That what came through stepup is what a cell says. */
async function assertSays(said, feature, over, { through, direct }) {
  const { run, otherwise } = FEATURES[feature];
  const [, slug, needed] = /^`(\w+)`(?:: (.+))?$/.exec(said) ?? [];
  if (slug) {
    const refused = ({ message, data }) => data?.slug === slug && (!needed || message.includes(`Needed: ${needed}.`));
    return assert.rejects(run(through), refused, `${slug}: ${needed}`);
  }
  const got = comparable(await run(through));
  if (said === "same over HTTP" && over === "stdio") return assert.deepEqual(got, otherwise);
  if (said.startsWith("same")) return assert.deepEqual(got, direct[feature]);
  assert.notDeepEqual(direct[feature], said, "directly it is otherwise");
  return assert.deepEqual(got, said);
}

let home, key;
const direct = {};
const stops = [];
const name = (over, revision) => `${over.toLowerCase()}-${revision}`;

before(async () => {
  home = await Home.make();
  const settings = { asks: ["form", "url", "sampling", "roots"], tools: { "*": { reviewed: "read-only" } } };
  for (const revision of ERAS) {
    const command = [NODE, join(TESTS, "lib/features.mjs"), revision];
    const { port, stop } = await overHttp(command);
    const tee = await teeHttp(port, home.arrivals, name("HTTP", revision));
    stops.push(stop, () => (tee.closeAllConnections(), tee.close()));
    direct[name("HTTP", revision)] = address(`http://127.0.0.1:${port}/mcp`);
    direct[name("stdio", revision)] = program(...command);
    home.upstreams({
      [name("HTTP", revision)]: { url: `http://127.0.0.1:${tee.address().port}/mcp`, ...settings },
      [name("stdio", revision)]: { command: watched(home, name("stdio", revision), command), env: ENV, ...settings },
    });
  }
  writeFileSync(join(home.folder, "policies/asking.cedar"), RULES);
  await home.serve();
  key = await home.caller("agent");
  for (const upstream of Object.keys(direct)) await home.pinned(`${upstream}/say`);
});

after(async () => {
  for (const stop of stops) stop();
  await home?.remove();
});

test("the table has a row for each feature and a column for each pair of eras", () => {
  assert.deepEqual(Object.keys(rows), Object.keys(FEATURES));
  for (const cells of Object.values(rows)) assert.equal(cells.length, COLUMNS.length);
});

describe("across revisions", { concurrency: TRANSPORTS.length * ERAS.length }, () => {
  for (const over of TRANSPORTS) {
    for (const upstream of ERAS) {
      describe(`an upstream of ${upstream} over ${over}`, { concurrency: 1 }, () => {
        const answers = {};
        // What answers a question within a call arrives too, and over stdio no tee sees whose it is: the tool says it again, and
        // so it did.
        const answered = (tool) => over === "stdio" && upstream !== PINNED &&
          arrived(home.arrivals, name(over, upstream), JSON.stringify({ method: "tools/call", params: { name: tool, arguments: {} } }));

        before(async () => {
          const one = await connect(upstream, direct[name(over, upstream)]);
          for (const [feature, { run, of = () => true }] of Object.entries(FEATURES)) {
            if (of(upstream, upstream)) answers[feature] = comparable(await run(one).catch(({ code }) => ({ code })));
          }
          await one.close();
        });

        // What may be asked and told is less where a call was cancelled: over stdio, of everybody. So these come last.
        for (const end of [false, true]) {
          for (const client of ERAS) {
            describe(`a client of ${client}${end ? ", at the end" : ""}`, () => {
              let through;
              before(async () => { through = await connect(client, behind(home, name(over, upstream), key), answered); });
              after(() => through?.close());
              for (const [feature, { last = false, of = () => true }] of Object.entries(FEATURES)) {
                if (last !== end || !of(client, upstream)) continue;
                const said = cell(feature, client, upstream);
                test(`${feature}: ${said}`, () => assertSays(said, feature, over, { through, direct: answers }));
              }
            });
          }
        }
      });
    }
  }
});

test("the checker finds one permit for each arrival, and the log verifies", async () => {
  // A server answers nothing to a call that was cancelled, and ten seconds later that is its outcome.
  await sleep(11_000);
  assert.ok((await home.judge({ canaries: [key] })).arrivals > 0);
});
