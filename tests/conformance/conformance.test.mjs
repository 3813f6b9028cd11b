// The conformance suite of MCP as a client: both requirement sets against servers of both SDKs, directly and with stepup in
// front, which speaks either era with the server whichever the suite speaks. With a policy that permits everything, stepup
// adds no failure beyond baseline.yml.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { read, raw } from "../lib/agent.mjs";
import { teeHttp } from "../lib/arrivals.mjs";
import { Home, freePort } from "../lib/home.mjs";
import { MODERN_PYTHON, NODE } from "../lib/peers.mjs";
import { against, failing, known, listening, required, shim, verdicts, worse } from "./suite.mjs";

const here = import.meta.dirname;
const FIXTURES = {
  typescript: [NODE, join(here, "fixture.mjs")],
  python: [MODERN_PYTHON, join(here, "fixture.py")],
};
/** Revision to how a server shows that it speaks it, and to the upstream with which stepup speaks it. */
const REVISIONS = {
  "2025-11-25": { method: "initialize", says: ({ protocolVersion }) => [protocolVersion], upstream: "legacy" },
  "2026-07-28": { method: "server/discover", says: ({ supportedVersions }) => supportedVersions, upstream: "modern" },
};
/** The same server as one upstream for each era, and as one of which every call needs a purpose and a person. */
const UPSTREAMS = { legacy: { era: "legacy" }, modern: { era: "modern" }, stopped: {} };
const STOPS = '@id("stops")\n@stepup("secret-change")\nforbid (principal, action in Action::"tools/call", resource in Server::"stopped");\n';
/** What of the rounds of a call is the same whatever is asked in them. */
const ROUNDS = ["result-type", "tampered-state", "missing-input-response", "unsupported-methods", "validate-input"]
  .map((what) => `input-required-result-${what}`);

/** The first request of a revision: both eras find in it what they need. */
async function greeting(url, revision) {
  const { method, says } = REVISIONS[revision];
  const client = { name: "stepup-tests", version: "1" };
  const _meta = Object.fromEntries(Object.entries({ protocolVersion: revision, clientCapabilities: {}, clientInfo: client })
    .map(([name, value]) => [`io.modelcontextprotocol/${name}`, value]));
  const params = method === "initialize" ? { protocolVersion: revision, capabilities: {}, clientInfo: client } : { _meta };
  const headers = {
    "content-type": "application/json", accept: "application/json, text/event-stream",
    ...(method === "initialize" ? {} : { "mcp-protocol-version": revision, "mcp-method": method }),
  };
  const { result, error } = read(await raw(url, { headers, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) }));
  assert.ok(result, JSON.stringify(error));
  return says(result);
}

for (const [name, command] of Object.entries(FIXTURES)) {
  describe(`a server of the ${name} SDK`, () => {
    const stops = [];
    let home, key, direct, through;
    const found = {};
    const directly = (revision) => (found[revision] ??= verdicts(direct, revision));

    before(async () => {
      const [port, front] = [await freePort(), await freePort()];
      stops.push(await listening(...command, String(port)));
      direct = `http://localhost:${port}/mcp`;
      through = `http://localhost:${front}/mcp`;
      home = await Home.make();
      for (const [upstream, settings] of Object.entries(UPSTREAMS)) {
        const tee = await teeHttp(port, home.arrivals, upstream);
        stops.push(() => (tee.closeAllConnections(), tee.close()));
        home.upstreams({ [upstream]: { url: `http://127.0.0.1:${tee.address().port}/mcp`, ...settings } });
      }
      // The suite's Host and Origin reach stepup as they are: what rebinding is refused by is stepup's own.
      home.edit(/^# e\.g\. public_url = "https:\/\/stepup\.example".*$/m, `public_url = "http://localhost:${front}"`);
      home.edit(/^# origins = \[\].*$/m, `origins = ["http://localhost:${front}"]`);
      home.permitEverything(STOPS);
      await home.serve();
      key = await home.caller("suite");
      // Who could approve; nobody does.
      await home.person();
      for (const upstream of Object.keys(UPSTREAMS)) await home.pinned(`${upstream}/test_simple_text`);
      stops.push(await shim(front, home.agentsUrl, key));
    });

    after(async () => {
      for (const stop of stops.reverse()) stop();
      await home?.remove();
    });

    for (const revision of Object.keys(REVISIONS)) {
      test(`speaks ${revision} itself, and passes all that it has but what is listed`, async () => {
        assert.ok((await greeting(direct, revision)).includes(revision));
        const alone = await directly(revision);
        assert.ok(alone.size >= required(revision, "server").length, "every scenario has a check");
        assert.deepEqual(against(known("direct.yml", revision, { of: name }), failing(alone)), { unlisted: [], stale: [] });
      });

      for (const [spoken, { upstream }] of Object.entries(REVISIONS)) {
        test(`loses nothing of ${revision} but what is listed behind stepup, which speaks ${spoken} with it`, async () => {
          const [alone, behind] = [await directly(revision), await verdicts(`${through}/${upstream}`, revision)];
          const { unlisted, stale } = against(known("baseline.yml", revision, { of: name, spoken }), worse(alone, behind));
          const why = unlisted.map((check) => `${check}: ${behind.get(check)?.said ?? "did not come to it"}`);
          assert.deepEqual({ unlisted: why, stale }, { unlisted: [], stale: [] });
        });
      }
    }

    test("a call that stepup stops is asked for its purpose in rounds, and nothing of it arrives", async () => {
      const found = await verdicts(`${through}/stopped`, "2026-07-28", ROUNDS);
      assert.deepEqual(failing(found), []);
      assert.ok((await home.pending()).length > 0);
    });

    test("the checker finds one permit for each arrival", async () => {
      const { arrivals } = await home.judge({ canaries: [key] });
      assert.ok(arrivals > 0);
    });
  });
}

test("a check that is lost, an entry that is stale and a failure that is new are each noticed", () => {
  const pass = { failed: false }, fail = { failed: true };
  const alone = new Map([["a:1", pass], ["a:2", pass], ["b:1", fail], ["c:1", pass]]);
  const behind = new Map([["a:1", pass], ["a:2", fail], ["b:1", fail], ["d:1", fail]]);
  const lost = worse(alone, behind);
  assert.deepEqual(lost, ["a:2", "c:1", "d:1"]);
  assert.deepEqual(against([{ fails: ["a:1", "c", "e"] }, { fails: ["d:1"] }], lost), { unlisted: ["a:2"], stale: ["a:1", "e"] });
});
