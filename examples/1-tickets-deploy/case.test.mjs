// Tickets to deployments, played whole: what README.md beside this file tells, and every misuse that it names.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Case, asked, denied, ran, sleep, stopped } from "../lib/case.mjs";

const TO_PRODUCTION = { version: "v2.4.1", environment: "production" };
const TICKET = { ticket: "CHG-7" };
const VALUE = "canary-secret-4c1d07";

describe("tickets → deploy", () => {
  let one, tickets, deploy, ann, sam;

  before(async () => {
    one = await Case.install(import.meta.dirname, "tickets-deploy", {
      people: { ann: "release-managers", sam: "security" },
      caller: { name: "ticket-bot", owner: "dave", group: "ticket-agents" },
      // A grant that is a second too old is one of the misuses; nobody waits five minutes for it.
      requirements: (text) => text.replace('valid_for = "5m"', 'valid_for = "1s"'),
    });
    ({ ann, sam } = one);
    await one.home.pinned("deploy/deploy");
    await one.home.pinned("tickets/get_ticket");
    [tickets, deploy] = [await one.on("tickets"), await one.on("deploy")];
  });

  after(() => one?.remove());

  const deployed = () => one.rows("SELECT version, environment FROM deployments");

  test("the rules do what their scenarios say", async () => {
    const { code, stdout, stderr } = await one.home.saidBy("policy", "test", "--strict");
    assert.equal(code, 0, stdout + stderr);
  });

  test("tickets are read and staging is deployed to, with nobody asked", async () => {
    assert.match(await ran(tickets, "get_ticket", { id: 7 }), /v2\.4\.1/);
    await ran(deploy, "deploy", { version: "v2.4.1", environment: "staging" });
    assert.deepEqual(deployed(), [{ version: "v2.4.1", environment: "staging" }]);
    assert.equal((await one.home.pending()).length, 0);
  });

  test("what only reads is all that is done with tickets", async () => {
    await assert.rejects(tickets.call("close_ticket", { id: 7 }), /no such tool for this caller/);
    assert.equal(one.rows("SELECT id FROM tickets").length, 2);
  });

  test("production takes a release manager and a change, and then runs once", async () => {
    const elevation = await asked(deploy, "deploy", TO_PRODUCTION, TICKET);
    assert.match((await ann.page(`/r/${elevation}`)).text, /Deploy v2\.4\.1 to production/);
    await ann.approve(elevation);
    assert.match(await ran(deploy, "deploy", TO_PRODUCTION), /deployed v2\.4\.1/);
    assert.notEqual((await stopped(deploy, "deploy", TO_PRODUCTION)).elevation, elevation, "the second is another request");
    assert.equal(deployed().length, 2);
  });

  test("what was approved is this version to this environment", async () => {
    const version = { ...TO_PRODUCTION, version: "v2.5.0" };
    const elevation = await asked(deploy, "deploy", version, TICKET);
    await ann.approve(elevation);
    for (const other of [
      { ...version, version: "v2.5.1" }, { ...version, environment: "production-eu" }, { version: "v2.5.0" },
      { ...version, version: "v6.6.6" },
    ]) {
      assert.notEqual((await stopped(deploy, "deploy", other)).elevation, elevation, JSON.stringify(other));
    }
    assert.equal(await denied(deploy, "deploy", { ...version, version: "latest" }), "policy_denied");
    assert.equal(deployed().length, 2);
    await ran(deploy, "deploy", version);
    assert.deepEqual(deployed().at(-1), version);
  });

  test("an approval is the bot's own: another caller is stopped, and who owns one does not approve for it", async () => {
    const mine = await one.home.caller("anns-bot", { owner: "ann", groups: ["ticket-agents"] });
    const version = { ...TO_PRODUCTION, version: "v2.6.0" };
    const elevation = await asked(deploy, "deploy", version, TICKET);
    await ann.approve(elevation);
    assert.equal(await denied(await one.on("deploy", mine), "deploy", version), "nobody_may_approve", "ann is all of the release managers");
    await ran(deploy, "deploy", version);
    assert.equal(deployed().length, 4);
  });

  test("a secret is set with security's approval, whose time is short, and nobody reads its value", async () => {
    const secret = { name: "DB_PASSWORD", value: VALUE };
    const why = { purpose: "the password was rotated" };
    await sam.approve(await asked(deploy, "set_secret", secret, why));
    await sleep(2_100);
    const again = await asked(deploy, "set_secret", secret, why);
    assert.equal(one.rows("SELECT * FROM secrets").length, 0, "the first approval was a second too old");
    assert.ok(!(await sam.page(`/r/${again}`)).text.includes(VALUE));
    await sam.approve(again);
    await ran(deploy, "set_secret", secret);
    assert.deepEqual(one.rows("SELECT * FROM secrets"), [secret]);
  });

  test("a rule that came after the approval is what counts", async () => {
    const version = { ...TO_PRODUCTION, version: "v2.7.0" };
    await ann.approve(await asked(deploy, "deploy", version, TICKET));
    await one.alsoRules('@id("freeze") forbid (principal, action == Action::"tools/call:deploy/deploy", resource);');
    assert.equal(await denied(deploy, "deploy", version), "policy_denied");
    assert.equal(deployed().length, 4);
  });

  test("a key that leaked is dead at once when it is replaced so", async () => {
    await one.home.cli("caller", "rotate", "ticket-bot", "--overlap", "0s");
    const { status } = await tickets.post({ jsonrpc: "2.0", id: 1, method: "tools/list" });
    assert.equal(status, 401);
  });

  test("the log says all of it, verifies, and knows no secret", async () => {
    await one.home.judge({ canaries: [one.key, VALUE] });
  });
});
