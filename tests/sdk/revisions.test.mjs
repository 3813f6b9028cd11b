// Clients and servers that each speak one revision of MCP, old and new, in every combination, over stdio and HTTP: the
// same calls directly, with a client of the server's own revision, and through stepup give the same answers by value.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { teeHttp } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, address, behind, program } from "../lib/clients.mjs";
import { Home, TESTS } from "../lib/home.mjs";
import { overHttp, watched } from "../lib/upstreams.mjs";

/** With callers, and with upstreams. */
const CALLERS = ["2025-06-18", "2025-11-25"];
const SERVERS = ["2025-03-26", ...CALLERS];
const CALLS = [
  ["add", { a: 1 }],
  ["add", { a: 9007199254740991, b: -1.25 }],
  ["echo", { text: "\u202e plain, \u{1f510}\n" }],
  ["echo", { text: "" }],
  ["fail", { why: "it is so" }],
  ["climb", { steps: 2 }],
];
const OURS = ["stepup_run", "stepup_status", "stepup_preflight"];

const command = (revision) => [process.env.STEPUP_PYTHON, join(TESTS, "lib/of_revision.py"), revision];
const name = (revision, over) => `${over}-${revision}`;
const servers = [];
const headers = {};
let home, key;

/** One that listens, behind a tee that also keeps which revision every request names. */
async function listening(revision) {
  const { port, stop } = await overHttp(command(revision));
  const tee = await teeHttp(port, home.arrivals, name(revision, "http"));
  headers[revision] = new Set();
  tee.prependListener("request", (request) => headers[revision].add(request.headers["mcp-protocol-version"] ?? "none"));
  servers.push({ stop, tee });
  return { direct: `http://127.0.0.1:${port}/mcp`, through: `http://127.0.0.1:${tee.address().port}/mcp` };
}

const targets = {};

before(async () => {
  home = await Home.make();
  const tools = { "*": { reviewed: "read-only" } };
  for (const revision of SERVERS) {
    const http = await listening(revision);
    targets[name(revision, "stdio")] = program(...command(revision));
    targets[name(revision, "http")] = address(http.direct);
    home.upstreams({
      [name(revision, "stdio")]: { command: watched(home, name(revision, "stdio"), command(revision)), env: ENV, tools },
      [name(revision, "http")]: { url: http.through, share: "all", tools },
    });
  }
  await home.serve();
  key = await home.caller("reader");
  for (const upstream of Object.keys(targets)) await home.pinned(`${upstream}/add`);
});

after(async () => {
  for (const { stop, tee } of servers) {
    tee.closeAllConnections();
    tee.close();
    stop();
  }
  await home?.remove();
});

const told = ({ code, message, data }) => ({ error: { code, message, data } });

/** Its tools, and what it answers to every call. */
async function all(Client, target) {
  const client = await Client.connect(target);
  const tools = await client.list();
  const answers = [];
  for (const [tool, args] of CALLS) answers.push(await client.call(tool, args).catch(told));
  const heard = [];
  await client.call("climb", { steps: 3 }, { onprogress: ({ progress, total }) => heard.push({ progress, total }) });
  const spoken = client.revision();
  await client.close();
  return { tools: tools.filter(({ name }) => !OURS.includes(name)).sort((a, b) => (a.name < b.name ? -1 : 1)), answers, heard: heard.slice(0, 2), spoken };
}

for (const [sdk, Client] of Object.entries(CLIENTS)) {
  for (const server of SERVERS) {
    describe(`${sdk}, a server of ${server}`, () => {
      for (const over of ["stdio", "http"]) {
        for (const caller of CALLERS) {
          test(`over ${over}, answers a client of ${caller} as it does one of its own`, async () => {
            const upstream = name(server, over);
            const { spoken: direct, ...expected } = await all(Client, { ...targets[upstream], only: server });
            const { spoken, ...got } = await all(Client, { ...behind(home, upstream, key), only: caller });
            assert.deepEqual([direct, spoken], [server, caller]);
            assert.deepEqual(got, expected);
            assert.equal(got.answers.length, CALLS.length);
            assert.equal("icons" in got.tools[0], server >= "2025-11-25", "what an old client passes over is shown to it");
          });
        }
      }
    });
  }
}

test("every server was asked in the modern era, greeted, and then told its own revision, never a client's", () => {
  for (const revision of SERVERS) assert.deepEqual([...headers[revision]], ["2026-07-28", "none", revision], revision);
});

test("the checker finds one permit for each arrival, and the log verifies", async () => {
  const report = await home.judge({ canaries: [key] });
  const rounds = Object.keys(CLIENTS).length * SERVERS.length * 2 * CALLERS.length;
  assert.equal(report.arrivals, rounds * (CALLS.length + 1));
});
