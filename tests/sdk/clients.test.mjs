// Every client that others wrote, in every way that it may choose an era: what it comes to through stepup, the same
// answers as directly, and the whole step-up in each carrier that it has.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { listening } from "../conformance/suite.mjs";
import { challenge, refusal, words } from "../lib/agent.mjs";
import { arrivals, teeHttp } from "../lib/arrivals.mjs";
import { CLIENTS, SAID, address, behind } from "../lib/clients.mjs";
import { pinned, table } from "../lib/documented.mjs";
import { Home, TESTS, freePort, sleep, until } from "../lib/home.mjs";
import { MODERN_CLIENTS, NODE, PINNED } from "../lib/peers.mjs";
import { ops } from "../lib/upstreams.mjs";

const LEGACY = "2025-11-25";
const SECRET = "canary-secret-value-90c2e1";

/** How a client of the SDKs 1.x or 2.x chooses, and the revision that it comes to; `null` where it does not connect. */
const FIRST = { legacy: LEGACY };
const SECOND = { legacy: LEGACY, auto: PINNED, [PINNED]: PINNED };

/**
 * `held`: it can listen to progress, and then its call waits for the approval. `asks`: it can have its person open an
 * address or fill in a form. `opens`: it has calls without a progress token, which in a session are told what to open first.
 */
const ROWS = [
  { name: "TypeScript SDK", Client: CLIENTS["TypeScript SDK"], of: ["package-lock.json", "@modelcontextprotocol/sdk"], comes: FIRST, held: true, asks: true, opens: true },
  { name: "Python SDK", Client: CLIENTS["Python SDK"], of: ["requirements.txt", "mcp"], comes: FIRST, held: true, asks: true, opens: true },
  { name: "TypeScript SDK 2", of: ["peers-modern/package-lock.json", "@modelcontextprotocol/client"], comes: SECOND, held: true, asks: true, opens: true },
  { name: "Python SDK 2", of: ["peers-modern/requirements.txt", "mcp"], comes: SECOND, held: true, asks: true, opens: true },
  { name: "fastmcp", of: ["peers-modern/requirements.txt", "fastmcp"], comes: SECOND, held: true, asks: true },
  { name: "rmcp", of: ["peers-modern/rmcp/Cargo.lock", "rmcp"], comes: SECOND, held: true, asks: true },
  { name: "inspector CLI", of: ["peers-modern/package-lock.json", "@modelcontextprotocol/inspector"], comes: SECOND },
].map((row) => ({ Client: MODERN_CLIENTS[row.name], ...row }));

/**
 * What marks an answer's era: in the modern one a server names itself in each and says that it is whole. Here the client
 * and the upstream may be of two.
 */
const SELF = "io.modelcontextprotocol/serverInfo";
const unmarked = ({ _meta: { [SELF]: _, ...meta } = {}, resultType, ...answer }) => {
  assert.ok([undefined, "complete"].includes(resultType), resultType);
  return { ...answer, ...(Object.keys(meta).length > 0 && { _meta: meta }) };
};

const CALLS = [
  "test_simple_text", "test_image_content", "test_audio_content", "test_embedded_resource", "test_multiple_content_types", "test_error_handling",
];

let port, stop, tee, fixture;
/** One that holds a call that listens for as long as this takes, and one that gives up on it soon. */
const homes = {};
const people = {};
const keys = {};

before(async () => {
  port = await freePort();
  stop = await listening(NODE, join(TESTS, "conformance/fixture.mjs"), String(port));
  fixture = address(`http://127.0.0.1:${port}/mcp`);
  for (const [patience, within] of [["patient", "30s"], ["brief", "2s"]]) {
    const home = await Home.make({ challenge: { hold: "20s", hold_with_progress: within }, upstreams: (home) => ({ ops: ops(home) }) });
    homes[patience] = home;
    if (patience === "patient") {
      tee = await teeHttp(port, home.arrivals, "fixture");
      home.upstreams({ fixture: { url: `http://127.0.0.1:${tee.address().port}/mcp`, tools: { "*": { reviewed: "read-only" } } } });
    }
    await home.serve();
    keys[patience] = await home.caller("agent");
    people[patience] = await home.person();
    await home.pinned("ops/deploy");
  }
  await homes.patient.pinned("fixture/test_simple_text");
});

after(async () => {
  tee?.closeAllConnections();
  tee?.close();
  stop?.();
  for (const home of Object.values(homes)) await home.remove();
});

const ran = (home, version) => arrivals(home.arrivals).filter(({ tool, arguments: args }) => tool.endsWith("deploy") && args.version === version).length;

/** One way of choosing for each revision that a client comes to. */
const distinct = (comes) => new Map(Object.entries(comes).filter(([, revision]) => revision).map(([mode, revision]) => [revision, mode]).reverse());

/** The request that a link is to. */
const linked = (url) => new URL(url).pathname.split("/").at(-1);

for (const { name, Client, comes, held, asks, opens } of ROWS) {
  describe(name, () => {
    const open = async (t, target, mode, onask) => {
      const client = await Client.connect({ ...target, mode, onask });
      t.after(() => client.close());
      return client;
    };

    for (const [mode, revision] of Object.entries(comes)) {
      test(`told ${mode}, comes to ${revision ?? "no agreement"}`, async (t) => {
        // A client that was told what to speak may find out only when it asks for something.
        const asking = async () => {
          const client = await open(t, behind(homes.patient, "ops", keys.patient), mode);
          await client.list();
          return client.revision() ?? revision;
        };
        if (revision) assert.equal(await asking(), revision);
        else await assert.rejects(asking());
      });
    }

    for (const [revision, mode] of distinct(comes)) {
      const version = (n) => `${n}.${name}.${revision}`;
      const production = (n) => ({ service: "checkout", version: version(n), environment: "production" });
      const agent = (t, patience) => open(t, behind(homes[patience], "ops", keys[patience]), mode);

      test(`${revision}: gets the same answers as directly`, async (t) => {
        const all = async (target) => {
          const client = await open(t, target, revision === PINNED ? PINNED : "legacy");
          const answers = [];
          for (const tool of CALLS) answers.push(unmarked(await client.call(tool, {})));
          return answers;
        };
        assert.deepEqual(await all(behind(homes.patient, "fixture", keys.patient)), await all(fixture));
      });

      test(`${revision}: a stopped call says what a model needs, and stepup_run runs it once it is approved`, async (t) => {
        const client = await agent(t, "brief");
        const stopped = await client.call("deploy", production(1));
        assert.equal(stopped.isError, true);
        const { elevation, link } = challenge(stopped);
        for (const said of ["NOT EXECUTED", elevation, link, "stepup_run"]) assert.ok(words(stopped).includes(said), said);
        assert.equal(ran(homes.brief, version(1)), 0);
        await people.brief.approve(elevation);
        const done = await client.call("stepup_run", { elevation });
        assert.equal(done.structuredContent.version, version(1));
        assert.equal((await client.call("stepup_run", { elevation })).isError, true);
        assert.equal(ran(homes.brief, version(1)), 1);
      });

      test(`${revision}: the same call repeated waits for its approval, and runs once`, async (t) => {
        const client = await agent(t, "brief");
        const { elevation } = challenge(await client.call("deploy", production(2)));
        const repeated = client.call("deploy", production(2));
        await sleep(300);
        assert.equal(ran(homes.brief, version(2)), 0);
        await people.brief.approve(elevation);
        assert.equal((await repeated).structuredContent.version, version(2));
        assert.equal(ran(homes.brief, version(2)), 1);
      });

      test(`${revision}: a rejection tells the reason, and the same call opens nothing new`, async (t) => {
        const client = await agent(t, "brief");
        const { elevation } = challenge(await client.call("deploy", production(3)));
        await people.brief.reject(elevation, "not before the freeze ends");
        const again = await client.call("deploy", production(3));
        assert.equal(refusal(again).slug, "rejected");
        assert.ok(words(again).includes("not before the freeze ends"));
        assert.ok(!(await homes.brief.pending()).some(({ request }) => request === elevation));
        assert.equal(ran(homes.brief, version(3)), 0);
      });

      if (held) test(`${revision}: a call that listens to progress is held, told that it waits, and answered itself`, async (t) => {
        const client = await agent(t, "patient");
        const heard = [];
        const waiting = client.call("deploy", production(4), { onprogress: (progress) => heard.push(progress) });
        const request = await until("the request", async () => (await homes.patient.pending()).find(({ title }) => title.includes(version(4))));
        await until("a word of progress", () => heard.length > 0);
        await people.patient.approve(request.request);
        assert.equal((await waiting).structuredContent.version, version(4));
        assert.match(heard[0].message, /approval/);
        assert.equal(ran(homes.patient, version(4)), 1);
      });

      if (asks) test(`${revision}: a client that can ask its person opens the request, and its call goes on by itself`, async (t) => {
        const asked = [];
        const approve = (params) => {
          asked.push(params);
          people.patient.approve(linked(params.url));
        };
        const client = await open(t, behind(homes.patient, "ops", keys.patient), mode, approve);
        const done = await client.call("deploy", production(5), { onprogress: () => {} });
        assert.equal(done.structuredContent.version, version(5));
        assert.deepEqual(asked.map(({ mode, url }) => [mode, url.startsWith(`${homes.patient.peopleUrl}/r/`)]), [["url", true]]);
        assert.equal(ran(homes.patient, version(5)), 1);
      });

      if (asks) test(`${revision}: what has to be said is asked of its person in a form, and its call goes on by itself`, async (t) => {
        const asked = [];
        const client = await open(t, behind(homes.patient, "ops", keys.patient), mode, (params) => asked.push(params));
        const secret = { name: version(6), value: SECRET };
        const waiting = client.call("set_secret", secret);
        const { request } = await until("the request", async () => (await homes.patient.pending()).find(({ title }) => title.includes(secret.name)));
        await until("what was said", async () => (await people.patient.page(`/r/${request}`)).text.includes(SAID));
        await people.patient.approve(request);
        assert.deepEqual((await waiting).structuredContent, { set: secret.name });
        assert.deepEqual(asked.map(({ mode, requestedSchema }) => [mode, requestedSchema.required]), [["form", ["purpose"]]]);
        assert.equal(arrivals(homes.patient.arrivals).filter(({ arguments: args }) => args.name === secret.name).length, 1);
      });

      if (opens && revision === LEGACY) test(`${revision}: a call that listens to nothing is told what to open first, and then waits and runs once`, async (t) => {
        const client = await open(t, behind(homes.patient, "ops", keys.patient), mode, () => assert.fail("it was asked within the call"));
        const told = await client.call("deploy", production(7)).then(() => assert.fail("it ran"), (error) => error);
        assert.equal(told.code, -32042);
        const [{ mode: how, url, elicitationId, message }] = told.data.elicitations;
        assert.deepEqual([how, linked(url)], ["url", elicitationId]);
        assert.match(message, /four words/);
        const repeated = client.call("deploy", production(7));
        await sleep(300);
        assert.equal(ran(homes.patient, version(7)), 0);
        await people.patient.approve(elicitationId);
        assert.equal((await repeated).structuredContent.version, version(7));
        assert.equal(ran(homes.patient, version(7)), 1);
      });
    }
  });
}

test("docs/compatibility.md says the same of each", () => {
  const cells = ({ of, comes, held, asks, opens }) => [
    pinned(...of), ...["legacy", "auto", PINNED].map((mode) => comes[mode] ?? "–"), "yes",
    !held ? "has none" : opens ? "yes" : "yes, always",
    !asks ? "has none" : comes === FIRST ? "yes" : "both eras",
    opens ? "yes" : asks ? "never told it" : "has none",
  ];
  assert.deepEqual(table("Clients").map(([, ...said]) => said), ROWS.map(cells));
});

test("the checker agrees, and no key or secret is in any output", async () => {
  for (const [patience, home] of Object.entries(homes)) {
    assert.ok((await home.judge({ canaries: [SECRET, keys[patience]] })).arrivals > 0);
  }
});
