// Tools that change who may do what, played whole: what README.md beside this file tells, and every misuse that it names.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Case, asked, denied, ran, stopped } from "../lib/case.mjs";

const OPEN = { policy: "storage", document: "everybody reads" };
const TICKET = { ticket: "CHG-12" };

describe("policy tools", () => {
  let one, iam, sam, pia;

  before(async () => {
    one = await Case.install(import.meta.dirname, "policy-tools", {
      people: { sam: "security", pia: "policy-owners" },
      caller: { name: "platform-bot", owner: "dave", group: "platform-agents" },
    });
    ({ sam, pia } = one);
    await one.home.pinned("iam/put_policy");
    iam = await one.on("iam");
  });

  after(() => one?.remove());

  const storage = () => one.rows("SELECT document FROM policies WHERE name = 'storage'")[0]?.document;
  const roles = () => one.rows("SELECT who, role FROM roles");

  test("the rules do what their scenarios say", async () => {
    const { code, stdout, stderr } = await one.home.saidBy("policy", "test", "--strict");
    assert.equal(code, 0, stdout + stderr);
  });

  test("every tool is seen, and what only reads runs", async () => {
    const { result: { tools } } = await iam.request("tools/list");
    const seen = tools.map(({ name }) => name).filter((name) => !name.startsWith("stepup_")).sort();
    assert.deepEqual(seen, ["delete_policy", "get_policy", "grant_role", "put_policy"]);
    assert.match(await ran(iam, "get_policy", { policy: "storage" }), /nobody/);
  });

  test("a tool that is seen is not run, whatever it says of itself", async () => {
    assert.equal(await denied(iam, "delete_policy", { policy: "storage" }), "policy_denied");
    assert.equal(storage(), "nobody but the owner reads");
  });

  test("preflight says what it would take, and asks nobody", async () => {
    const said = await ran(iam, "stepup_preflight", { tool: "put_policy", arguments: OPEN });
    assert.match(said, /policy-change|approval/);
    assert.equal((await one.home.pending()).length, 0);
  });

  test("trying a policy is harmless, and only where the call says so", async () => {
    assert.match(await ran(iam, "put_policy", { ...OPEN, dry_run: true }), /could be/);
    await stopped(iam, "put_policy", { ...OPEN, dry_run: false });
    assert.equal(storage(), "nobody but the owner reads");
  });

  test("a policy in force takes two people of two kinds and a change, and is that policy", async () => {
    const elevation = await asked(iam, "put_policy", OPEN, TICKET);
    await sam.approve(elevation);
    assert.equal((await stopped(iam, "put_policy", OPEN)).elevation, elevation, "one of two");
    await pia.approve(elevation);
    for (const other of [{ ...OPEN, policy: "billing" }, { ...OPEN, document: "everybody reads " }]) {
      assert.notEqual((await stopped(iam, "put_policy", other)).elevation, elevation, JSON.stringify(other));
    }
    assert.equal(storage(), "nobody but the owner reads");
    await ran(iam, "put_policy", OPEN);
    assert.equal(storage(), "everybody reads");
    assert.notEqual((await stopped(iam, "put_policy", OPEN)).elevation, elevation);
  });

  test("a role that grants roles is given by nobody, in any spelling", async () => {
    for (const role of ["admin", "owner", "Editor", "editor "]) {
      assert.equal(await denied(iam, "grant_role", { to: "mallory", role }), "policy_denied", role);
    }
    assert.deepEqual(roles(), []);
  });

  test("any other takes security, who is not the one behind the bot", async () => {
    const viewer = { to: "dave", role: "viewer" };
    const elevation = await asked(iam, "grant_role", viewer, { purpose: "he looks at the bill" });
    await assert.rejects(pia.approve(elevation), ({ status }) => status >= 400 && status < 500);
    await sam.approve(elevation);
    assert.notEqual((await stopped(iam, "grant_role", { to: "mallory", role: "viewer" })).elevation, elevation);
    await ran(iam, "grant_role", viewer);
    assert.deepEqual(roles(), [{ who: "dave", role: "viewer" }]);
  });

  test("stepup's own rules are changed no more easily than these", async () => {
    const { code, stdout, stderr } = await one.home.saidBy("human", "invite", "mallory", "--group", "security");
    assert.notEqual(code, 0, stdout + stderr);
    const { humans } = await one.home.cli("human", "list");
    assert.ok(!humans.some(({ human }) => human === "mallory"));
  });

  test("the log says all of it, and verifies", async () => {
    await one.home.judge({ canaries: [one.key] });
  });
});
