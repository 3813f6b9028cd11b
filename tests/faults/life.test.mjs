// One call's life, ended by a crash at every place in turn, then started again: nothing runs twice on one approval,
// nothing runs without its record, the log verifies, and the caller finds its way on.
//
// Inside: the k-th passing of a seam aborts the process (crates/stepup/src/clock.rs), for every k until a life ends
// well. Outside, where no seam was thought of: strace kills at the k-th system call of a class, which it counts per
// thread; so on one thread for every k, and with all of them at a few random ones (rfd 14).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Agent, challenge, refusal } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { Home, sleep } from "../lib/home.mjs";
import { killedAt, sweep } from "../lib/sweep.mjs";
import { ops } from "../lib/upstreams.mjs";

const CALL = { service: "checkout", version: "2.4.1", environment: "production" };

let home, key, alice;

before(async () => {
  home = await Home.make({
    challenge: { hold: "2s" },
    log: { checkpoint_every: "1h" }, // by the clock it would make k mean something else each time
    upstreams: (home) => ({ ops: ops(home) }),
    bin: process.env.STEPUP_SEAM_BIN,
  });
  await home.serve();
  key = await home.caller("release-bot");
  alice = await home.person();
  await home.pinned("ops/deploy");
  await home.stop();
  home.keep();
});

after(() => home?.remove());

const ran = () => arrivals(home.arrivals).filter(({ tool }) => tool === "deploy").length;

/** A caller's way: read, reach for it, have it approved, run it. */
async function life() {
  const agent = await Agent.open(home, "ops", key);
  assert.equal((await agent.call("get_ticket", { id: "OPS-17" })).structuredContent.id, "OPS-17");
  const { elevation } = challenge(await agent.call("deploy", CALL));
  await alice.approve(elevation);
  const done = await agent.call("stepup_run", { elevation });
  assert.equal(done.structuredContent.version, CALL.version);
}

/** After the crash the caller repeats its call, and goes on as it is told. */
async function onwards() {
  const agent = await Agent.open(home, "ops", key);
  assert.equal((await agent.call("get_ticket", { id: "OPS-17" })).structuredContent.id, "OPS-17");
  const answer = await agent.call("deploy", CALL);
  assert.ok(ran() <= 1, "it ran twice on one approval");
  if (challenge(answer)) {
    await alice.approve(challenge(answer).elevation);
    const done = await agent.call("stepup_run", { elevation: challenge(answer).elevation });
    assert.equal(done.structuredContent.version, CALL.version);
  } else if (refusal(answer)) {
    assert.equal(refusal(answer).slug, "outcome_unknown");
  } else {
    assert.equal(answer.structuredContent.version, CALL.version);
    assert.equal(ran(), 1);
  }
}

/** One life that may end anywhere; answers whether it was ended. */
async function ended(start) {
  home.restore();
  const from = home.said().length;
  await home.serve({ ...start, ready: false });
  const error = await home.ready().then(life).then(() => null, (error) => error);
  if (!error) {
    await home.stop();
    assert.equal(ran(), 1);
    await home.judge();
    return false;
  }
  const gone = await Promise.race([home.ended, sleep(2000)]);
  // strace counts for the upstream's child too; that a killed child ends a call is no wonder.
  if (!gone && !/an upstream's child is gone/.test(home.said().slice(from))) throw error;
  await home.stop("SIGKILL");
  await home.serve();
  await onwards();
  await home.stop();
  await home.judge();
  return true;
}

test("a life without a crash", async () => {
  assert.equal(await ended({}), false);
});

test("a crash at a seam", { skip: !process.env.STEPUP_SEAM_BIN }, async (t) => {
  const crashes = await sweep(6, (k) => ended({ env: { STEPUP_CRASH_AT: String(k) } }), () => home.said());
  t.diagnostic(`${crashes} crashes`);
  assert.ok(crashes > 4, `only ${crashes} crashes: the seams are gone`);
});

const CLASSES = [
  ["a write to disk made durable", "fsync,fdatasync", 5],
  ["a byte sent", "write,writev,sendto,sendmsg", 5],
];

/** Lives with as many threads as in earnest, ended at random. */
const RANDOM = 3;

for (const [title, calls, stride] of CLASSES) {
  test(`kill -9 at ${title}`, { skip: !process.env.STEPUP_SEAM_BIN }, async (t) => {
    const crashes = await sweep(stride, (k) => ended({ under: killedAt(calls, k), env: { STEPUP_TEST_ONE_THREAD: "1" } }), () => home.said());
    t.diagnostic(`${crashes} crashes`);
    assert.ok(crashes > 0, "strace ended nothing");
  });

  test(`kill -9 at ${title}, of any thread`, async (t) => {
    for (let n = 0; n < RANDOM; n += 1) {
      const k = 1 + Math.floor(Math.random() * 12);
      const was = await ended({ under: killedAt(calls, k) });
      t.diagnostic(`k = ${k}: ${was ? "ended" : "lived"}`);
    }
  });
}
