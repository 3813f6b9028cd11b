// What nobody but the right person with the right passkey can do at the people's listener of the real binary: after
// every attempt the request still waits, and nothing has run. (crates/console/tests/people has the rest.)
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Agent, challenge, raw, words } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { Home } from "../lib/home.mjs";
import { Person } from "../lib/person.mjs";
import { ops } from "../lib/upstreams.mjs";

const CALL = { service: "checkout", version: "5.0", environment: "production" };

let home, key, agent, alice, mallory, robin, elevation, other;

before(async () => {
  home = await Home.make({ challenge: { hold: "2s" }, upstreams: (home) => ({ ops: ops(home) }) });
  await home.serve();
  key = await home.caller("agent");
  await home.pinned("ops/deploy");
  alice = await home.person();
  // Signed in, and in no group that this takes; and the owner of the agent, in the right group.
  mallory = await home.person("mallory", "onlookers");
  robin = await home.person("robin", "release-managers");
  agent = await Agent.open(home, "ops", key);
  elevation = challenge(await agent.call("deploy", CALL)).elevation;
  other = challenge(await agent.call("deploy", { ...CALL, version: "5.1" })).elevation;
});

after(() => home?.remove());

const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const clientData = (members) => b64(JSON.stringify({ type: "webauthn.get", crossOrigin: false, ...members }));

/** Title, and what is tried. */
const ATTEMPTS = [
  ["a person in no group of the requirement", () => mallory.approve(elevation)],
  ["the agent's own owner, who is in the group", () => robin.approve(elevation)],
  ["a person without a session", () => new Person(home.peopleUrl).approve(elevation)],
  ["a signature for another site", () => alice.approve(elevation, { asked: { rpId: "evil.example" } })],
  ["a signature made on another page", () => alice.approve(elevation, { asked: { origin: "http://localhost:1" } })],
  ["a signature over another challenge", () => alice.approve(elevation, { asked: { challenge: b64("x".repeat(32)) } })],
  ["a signature of another kind", () => alice.approve(elevation, { asked: { type: "webauthn.create" } })],
  ["a key that verified nobody", () => alice.approve(elevation, { asked: { flags: 0x01 } })],
  ["a key that nobody touched", () => alice.approve(elevation, { asked: { flags: 0x04 } })],
  ["another credential's name", () => alice.approve(elevation, { posted: { credential: b64("y".repeat(32)) } })],
  ["a signature that is noise", () => alice.approve(elevation, { posted: { signature: b64("z".repeat(70)) } })],
  ["no signature", () => alice.approve(elevation, { posted: { signature: "" } })],
  ["client data that was changed after signing", () => alice.approve(elevation, { posted: { clientDataJSON: clientData({ challenge: b64("x".repeat(32)), origin: home.peopleUrl }) } })],
  ["a nonce that was never given", () => alice.approve(elevation, { posted: { nonce: b64("n".repeat(32)) } })],
  ["a card that nobody saw", () => alice.post(`/r/${elevation}/ceremony`, { card: `sha256:${"0".repeat(64)}` })],
  ["a ceremony for another request", async () => {
    const { text } = await alice.page(`/r/${other}`);
    const begun = await alice.post(`/r/${other}/ceremony`, { card: /data-card="([^"]+)"/.exec(text)[1] });
    return alice.approve(elevation, { asked: { challenge: begun.publicKey.challenge }, posted: { nonce: begun.nonce } });
  }],
  ["a rejection by somebody whom it does not concern", () => mallory.reject(elevation, "no")],
  ["a rejection without a reason", () => alice.reject(elevation, "  ")],
  ["a new passkey of the right person's session that no good one signed for", async () => {
    const { passkey } = await alice.another();
    return alice.approve(elevation, {}, passkey);
  }],
  ["a new passkey that signed for itself", async () => {
    const another = await alice.another();
    await assert.rejects(alice.add("mine", another, another.passkey), ({ status }) => status === 409);
    return alice.approve(elevation, {}, another.passkey);
  }],
  ["the agent's key", async () => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", origin: home.peopleUrl };
    const { status } = await raw(`${home.peopleUrl}/r/${elevation}/vote`, { headers, body: "{}" });
    assert.ok(status >= 400, `answered ${status}`);
    throw Object.assign(new Error("refused"), { status });
  }],
];

describe("nobody approves by", () => {
  for (const [title, attempt] of ATTEMPTS) {
    test(title, async () => {
      await assert.rejects(attempt, ({ status }) => status >= 400 && status < 500);
      const waiting = (await home.pending()).map(({ request }) => request);
      assert.ok(waiting.includes(elevation), "it still waits");
      assert.equal(arrivals(home.arrivals).length, 0);
      assert.ok(home.alive);
    });
  }
});

test("reading changes nothing, whatever the address says", async () => {
  for (const path of ["vote", "reject", "ceremony", "withdraw", "revoke"]) {
    const { status } = await alice.page(`/r/${elevation}/${path}`);
    assert.ok([404, 405].includes(status), `${path}: ${status}`);
  }
  assert.equal((await home.pending()).length, 2);
});

test("a passkey that a good one signed for signs in, approves nothing on its first day, and the last one is not revoked", async () => {
  const another = await alice.another();
  await alice.add("spare", another);
  const revoke = (credential) => alice.post("/me/passkeys/revoke", { credential, reason: "lost" });
  assert.match((await alice.page("/me")).text, /spare/);
  await assert.rejects(alice.approve(other, {}, another.passkey), ({ status }) => status === 409);
  await alice.approve(other);
  await assert.rejects(mallory.post("/me/passkeys/revoke", { credential: another.passkey.id, reason: "lost" }), ({ status }) => status === 404);
  await revoke(another.passkey.id);
  assert.equal((await alice.page("/me")).status, 401, "signed out everywhere");
  await alice.signIn();
  const [, only] = /<span class="muted mono"><bdi>([^<…]+)/.exec((await alice.page("/me")).text);
  assert.ok(!another.passkey.id.startsWith(only));
  await assert.rejects(revoke(alice.credential), ({ status }) => status === 409);
  assert.equal((await alice.page("/me")).status, 200);
});

test("sixty repeats at once on one approval run it once, and each is told what became of it", async () => {
  await alice.approve(elevation);
  const answers = await Promise.all(Array.from({ length: 60 }, () => agent.call("deploy", CALL)));
  const ran = answers.filter(({ structuredContent }) => structuredContent?.deployed);
  assert.equal(arrivals(home.arrivals).filter(({ tool }) => tool === "deploy").length, 1);
  assert.equal(ran.length, 1);
  for (const answer of answers) assert.ok(answer.structuredContent?.deployed || answer.isError, words(answer));
});

test("the checker agrees", async () => {
  const report = await home.judge({ canaries: [key] });
  assert.equal(report.arrivals, 1);
  assert.ok(!/panick/i.test(home.said()));
});

test("A29: the people's page keeps the name that passkeys were made for, unless they are retired", async () => {
  const home = await Home.make();
  try {
    await home.serve();
    await home.person("ann");
    await home.stop();
    const port = new URL(home.peopleUrl).port;
    home.edit(`listen = "localhost:${port}"`, `listen = "localhost:${port}"\npublic_url = "https://approve.stepup.example"\nrp_id = "stepup.example"`);
    await home.serve({ ready: false });
    assert.equal((await home.ended).code, 1);
    const told = [home.said(), (await home.saidBy("human", "invite", "eve")).stderr];
    for (const text of told) assert.match(text, /1 passkeys? .*localhost.*stepup\.example.*--retire-passkeys/s);
    const passkeys = async () => (await home.cli("human", "list")).humans.map((one) => one.passkeys);
    assert.deepEqual(await passkeys(), [1], "nothing was taken away, and nobody added");
    await home.serve({ words: ["--retire-passkeys"] });
    assert.deepEqual(await passkeys(), [0]);
    await home.stop();
    await home.serve();
    await home.judge();
  } finally {
    await home.remove();
  }
});
