// The whole step-up with each SDK: stopped, told in words a model reads, approved by a passkey, run once.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { challenge, refusal, words } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, behind } from "../lib/clients.mjs";
import { Home, sleep, until } from "../lib/home.mjs";
import { EVERYTHING, ops, watched } from "../lib/upstreams.mjs";

const SECRET = "canary-secret-value-4f1d9a";

let home, alice;
const keys = {};

before(async () => {
  home = await Home.make({
    challenge: { hold: "20s", hold_with_progress: "30s" },
    upstreams: (home) => ({
      ops: ops(home),
      // Nobody has reviewed its tools: each is stepped up.
      everything: { command: watched(home, "everything", EVERYTHING), env: ENV },
    }),
  });
  await home.serve();
  for (const sdk of Object.keys(CLIENTS)) keys[sdk] = await home.caller(sdk.split(" ")[0].toLowerCase());
  alice = await home.person();
  for (const tool of ["ops/deploy", "everything/get-sum"]) await home.pinned(tool);
});

after(() => home?.remove());

/** How often a tool was reached at the upstream with these arguments. */
const ran = (tool, args) => arrivals(home.arrivals)
  .filter((one) => one.tool.endsWith(tool) && Object.entries(args).every(([name, value]) => one.arguments[name] === value)).length;

for (const [sdk, Client] of Object.entries(CLIENTS)) {
  describe(sdk, () => {
    let client, tools;
    const version = (n) => `2.4.${n}-${sdk.slice(0, 2)}`;
    const production = (n) => ({ service: "checkout", version: version(n), environment: "production" });

    before(async () => {
      client = await Client.connect(behind(home, "ops", keys[sdk]));
      tools = await client.list();
    });
    after(() => client?.close());

    test("a ticket is read without friction", async () => {
      const result = await client.call("get_ticket", { id: "OPS-17" });
      assert.equal(result.structuredContent.state, "open");
      assert.match(tools.find(({ name }) => name === "deploy").description, /\n\nMay need: release-approval\.$/);
    });

    test("a stopped call says what a model needs, and stepup_run runs it once it is approved", async () => {
      const stopped = await client.call("deploy", production(1));
      assert.equal(stopped.isError, true);
      const { elevation, link, words: four } = challenge(stopped);
      for (const said of ["NOT EXECUTED", elevation, link, four, "stepup_run"]) assert.ok(words(stopped).includes(said), said);
      assert.ok(link.startsWith(`${home.peopleUrl}/r/`));
      assert.equal(ran("deploy", production(1)), 0);
      await alice.approve(elevation);
      const done = await client.call("stepup_run", { elevation });
      assert.deepEqual(done.structuredContent, { deployed: "checkout", version: version(1), environment: "production" });
      assert.equal(ran("deploy", production(1)), 1);
      const again = await client.call("stepup_run", { elevation });
      assert.equal(again.isError, true);
      assert.equal(ran("deploy", production(1)), 1);
    });

    test("the same call repeated waits for its approval, and runs once", async () => {
      const { elevation } = challenge(await client.call("deploy", production(2)));
      const repeated = client.call("deploy", production(2));
      await sleep(300);
      assert.equal(ran("deploy", production(2)), 0);
      await alice.approve(elevation);
      assert.equal((await repeated).structuredContent.version, version(2));
      const other = await client.call("deploy", production(3));
      assert.notEqual(challenge(other).elevation, elevation, "another version is another request");
      assert.equal(ran("deploy", production(2)), 1);
      assert.equal(ran("deploy", production(3)), 0);
    });

    test("a call that listens to progress is held, told that it waits, and answered itself", async () => {
      const heard = [];
      const held = client.call("deploy", production(4), { onprogress: (progress) => heard.push(progress) });
      const request = await until("the request", async () => (await home.pending()).find(({ title }) => title.includes(version(4))));
      await until("a word of progress", () => heard.length > 0);
      await alice.approve(request.request);
      assert.equal((await held).structuredContent.version, version(4));
      assert.match(heard[0].message, /approval/);
      assert.ok(heard.every(({ progress }, i) => i === 0 || progress > heard[i - 1].progress), "progress rises");
      assert.equal(ran("deploy", production(4)), 1);
    });

    test("a rejection tells the reason, and the same call opens nothing new", async () => {
      const { elevation } = challenge(await client.call("deploy", production(5)));
      await alice.reject(elevation, "not before the freeze ends");
      for (const call of [client.call("deploy", production(5)), client.call("stepup_run", { elevation })]) {
        const result = await call;
        assert.equal(refusal(result).slug, "rejected");
        assert.ok(words(result).includes("not before the freeze ends"));
      }
      assert.ok(!(await home.pending()).some(({ request }) => request === elevation));
      assert.equal(ran("deploy", production(5)), 0);
    });

    test("a secret argument is approved unseen, and only the repeated call carries it", async () => {
      const args = { name: `mail-${sdk.slice(0, 2)}`, value: SECRET };
      const stopped = await client.call("set_secret", args);
      const { elevation } = challenge(stopped);
      assert.ok(!JSON.stringify(stopped).includes(SECRET));
      await client.call("stepup_run", { elevation, purpose: "the old one leaked" });
      const { text } = await alice.page(`/r/${elevation}`);
      assert.ok(text.includes("the old one leaked") && !text.includes(SECRET));
      await alice.approve(elevation);
      const done = await client.call("set_secret", args);
      assert.deepEqual(done.structuredContent, { set: args.name });
      assert.equal(ran("set_secret", args), 1);
    });

    test("a tool that nobody reviewed is stepped up, at a server of others too", async () => {
      const other = await Client.connect(behind(home, "everything", keys[sdk]));
      const args = { a: 1, b: sdk.length };
      const { elevation } = challenge(await other.call("get-sum", args));
      await alice.approve(elevation);
      const done = await other.call("stepup_run", { elevation });
      assert.match(words(done), new RegExp(`${1 + sdk.length}`));
      assert.equal(ran("get-sum", args), 1);
      await other.close();
    });

    test("stepup_status tells how a request ended", async () => {
      const { elevation } = challenge(await client.call("deploy", production(6)));
      const status = async () => (await client.call("stepup_status", { elevation })).structuredContent;
      assert.equal((await status()).state, "pending");
      await alice.approve(elevation);
      assert.deepEqual([(await status()).state, (await status()).spendable], ["approved", true]);
    });
  });
}

test("a locked caller runs nothing at all, and a passkey lifts the lock", async () => {
  const [sdk, Client] = Object.entries(CLIENTS)[0];
  const client = await Client.connect(behind(home, "ops", keys[sdk]));
  const { elevation } = challenge(await client.call("deploy", { service: "checkout", version: "9", environment: "production" }));
  await alice.reject(elevation, "this looks hijacked", true);
  assert.equal(refusal(await client.call("get_ticket", { id: "OPS-17" })).slug, "caller_locked");
  const { callers } = await home.cli("caller", "list");
  await alice.unlock(callers.find(({ lock }) => lock).lock);
  assert.equal((await client.call("get_ticket", { id: "OPS-17" })).structuredContent.id, "OPS-17");
  await client.close();
});

test("the checker agrees, and no key or secret is in any output", async () => {
  const report = await home.judge({ canaries: [SECRET, ...Object.values(keys)] });
  assert.ok(report.arrivals > 0);
});
