// The life of an approved change of rules, ended at every place in turn, then started again: what is in force is the old set or the
// new one, and the log says which; its approval is used for one change at most; and nobody has to say how it ended.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Home, sleep } from "../lib/home.mjs";
import { killedAt, sweep } from "../lib/sweep.mjs";

const RULES = `
@id("everything") permit (principal, action, resource);
@id("changes-are-approved") @stepup("release-approval")
forbid (principal, action == Action::"administer", resource == Installation::"stepup/policy");
`;
const MORE = `${RULES}\n@id("no-scale") forbid (principal, action == Action::"tools/call:ops/scale", resource);\n`;

let home, ann, old, fresh;

before(async () => {
  home = await Home.make({ log: { checkpoint_every: "1h" }, bin: process.env.STEPUP_SEAM_BIN });
  // Else the folder would make the change too, and k mean something else each time.
  home.edit('activate = "on-save"', 'activate = "by-command"');
  const policy = join(home.folder, "policies/starter.cedar");
  writeFileSync(policy, RULES);
  await home.serve();
  await home.person("olga", "on-duty");
  ann = await home.person("ann", "release-managers");
  await home.cli("human", "account", "olga");
  old = (await home.cli("policy", "show")).policy;
  writeFileSync(policy, MORE);
  await home.stop();
  home.keep();
  await home.serve();
  fresh = await life();
  await home.stop();
});

after(() => home?.remove());

const activate = () => home.saidBy("--json", "policy", "activate").then(({ code, stdout, stderr }) => ({ code, ...JSON.parse(stdout || stderr) }));

/** It is proposed, approved, and made. */
async function life() {
  const { code, request } = await activate();
  assert.equal(code, 10);
  await ann.approve(request);
  const done = await activate();
  assert.equal(done.code, 0);
  assert.equal(done.changed, true);
  return done.policy;
}

/** What is in force is what the log says, and no approval was used for more than one change. */
async function holds() {
  const { policy } = await home.cli("policy", "show");
  assert.ok([old, fresh].includes(policy), `${policy} is neither the old set nor the new one`);
  const { revisions } = await home.cli("policy", "history");
  assert.equal(revisions[0].policy, policy, "the newest revision is in force");
  const { records } = await home.cli("log", "tail", "-n", "200");
  const kinds = records.map(({ kind }) => kind);
  assert.equal(kinds.filter((kind) => kind === "policy_activated").length, revisions.length, "each has its record, and no other");
  const { grants } = await home.cli("grants", "list");
  const outcomes = grants.flatMap(({ attempts }) => attempts.map(({ outcome }) => outcome));
  assert.ok(grants.every(({ uses, spent, attempts }) => uses === 1 && spent <= 1 && attempts.length <= 1), "an approval is used once");
  assert.equal(kinds.filter((kind) => kind === "spent").length, outcomes.length, "each use has its record");
  assert.deepEqual(outcomes.filter((outcome) => outcome === "done").length, policy === old ? 0 : 1);
  assert.ok(outcomes.every((outcome) => ["done", "not_sent"].includes(outcome)), `nobody has to find out: ${outcomes}`);
  return policy;
}

/** After the crash whoever asked asks again, and goes on as told. */
async function onwards() {
  const policy = await holds();
  const { code, request, changed } = await activate();
  if (policy === fresh) {
    assert.deepEqual([code, changed], [0, false], "it is not made twice");
  } else if (code === 10) {
    await ann.approve(request);
    assert.equal((await activate()).changed, true);
  } else {
    assert.deepEqual([code, changed], [0, true], "its approval was still there");
  }
  assert.equal(await holds(), fresh);
}

/** One life that may end anywhere; answers whether it was ended. */
async function ended(start) {
  home.restore();
  await home.serve({ ...start, ready: false });
  const lived = await home.ready().then(life).then((policy) => ({ policy }), (error) => ({ error }));
  const gone = await Promise.race([home.ended, sleep(lived.error ? 2000 : 0)]);
  if (!gone) {
    if (lived.error) throw lived.error;
    assert.deepEqual([lived.policy, await holds()], [fresh, fresh]);
    await home.stop();
    await home.judge();
    return false;
  }
  await home.stop("SIGKILL");
  await home.serve();
  await onwards();
  await home.stop();
  await home.judge();
  return true;
}

test("a change without a crash", async () => {
  assert.equal(await ended({}), false);
});

test("a change, and a crash at a seam", { skip: !process.env.STEPUP_SEAM_BIN }, async (t) => {
  const crashes = await sweep(4, (k) => ended({ env: { STEPUP_CRASH_AT: String(k) } }), () => home.said());
  t.diagnostic(`${crashes} crashes`);
  assert.ok(crashes > 4, `only ${crashes} crashes: the seams are gone`);
});

test("a change, and kill -9 at a write to disk made durable", { skip: !process.env.STEPUP_SEAM_BIN }, async (t) => {
  const crashes = await sweep(4, (k) => ended({ under: killedAt("fsync,fdatasync", k), env: { STEPUP_TEST_ONE_THREAD: "1" } }), () => home.said());
  t.diagnostic(`${crashes} crashes`);
  assert.ok(crashes > 0, "strace ended nothing");
});
