// Backups, played whole: what README.md beside this file tells, and every misuse that it names.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Case, asked, denied, ran, stopped, until } from "../lib/case.mjs";

const STANDBY = { backup: "orders-1", target: "orders-standby", overwrite: false };
const WHY = { purpose: "the standby lost its disk" };

describe("backups", () => {
  let one, backups, ann, ben;

  before(async () => {
    one = await Case.install(import.meta.dirname, "backups", {
      people: { ann: "on-call", ben: "on-call" },
      caller: { name: "backup-bot", owner: "dave", group: "backup-agents" },
    });
    ({ ann, ben } = one);
    await one.home.pinned("backups/restore");
    backups = await one.on("backups");
  });

  after(() => one?.remove());

  const restored = () => one.rows("SELECT backup, target FROM restores");
  const holds = (name) => one.rows(`SELECT rows FROM databases WHERE name = '${name}'`)[0].rows;

  test("the rules do what their scenarios say", async () => {
    const { code, stdout, stderr } = await one.home.saidBy("policy", "test", "--strict");
    assert.equal(code, 0, stdout + stderr);
  });

  test("listing and reading take nobody, nor does a restore into scratch that writes over nothing", async () => {
    assert.match(await ran(backups, "list"), /orders-2/);
    assert.match(await ran(backups, "read", { backup: "orders-2" }), /A-3/);
    await ran(backups, "restore", { ...STANDBY, target: "scratch" });
    assert.equal((await one.home.pending()).length, 0);
  });

  test("a restore into another target than the approved one is refused, and so is another backup", async () => {
    const elevation = await asked(backups, "restore", STANDBY, WHY);
    await ann.approve(elevation);
    for (const other of [{ ...STANDBY, target: "orders" }, { ...STANDBY, backup: "orders-2" }, { ...STANDBY, overwrite: true }, { backup: "orders-1", target: "orders-standby" }]) {
      assert.notEqual((await stopped(backups, "restore", other)).elevation, elevation, JSON.stringify(other));
    }
    for (const unknown of [{ ...STANDBY, target: "payroll" }, { ...STANDBY, target: "Orders-standby" }]) {
      assert.equal(await denied(backups, "restore", unknown), "policy_denied", JSON.stringify(unknown));
    }
    assert.equal(restored().length, 1);
    assert.equal(holds("payroll"), "P-1");
    await ran(backups, "restore", STANDBY);
    assert.deepEqual(restored().at(-1), { backup: "orders-1", target: "orders-standby" });
  });

  test("two restores under one approval are one restore, however many try at once", async () => {
    const into = { ...STANDBY, target: "orders", overwrite: true };
    const elevation = await asked(backups, "restore", into, WHY);
    await ann.approve(elevation);
    await assert.rejects(ann.approve(elevation), ({ status }) => status >= 400 && status < 500);
    assert.equal((await stopped(backups, "restore", into)).elevation, elevation, "one of two people is not enough");
    await ben.approve(elevation);
    const sessions = await Promise.all(Array.from({ length: 8 }, () => one.on("backups")));
    const all = await Promise.all(sessions.map((session) => session.call("restore", into)));
    assert.equal(all.filter(({ content: [{ text }] }) => text.startsWith("restored")).length, 1);
    assert.equal(restored().filter(({ target }) => target === "orders").length, 1);
    assert.equal(holds("orders"), "A-1,A-2");
  });

  test("a restore that upstream refuses was the one use of its approval", async () => {
    const over = { ...STANDBY, backup: "orders-9" };
    const elevation = await asked(backups, "restore", over, WHY);
    await ann.approve(elevation);
    assert.equal((await backups.call("restore", over)).isError, true);
    assert.notEqual((await stopped(backups, "restore", over)).elevation, elevation);
  });

  test("deleting is not even shown", async () => {
    const { result: { tools } } = await backups.request("tools/list");
    assert.deepEqual(tools.map(({ name }) => name).filter((name) => !name.startsWith("stepup_")).sort(), ["list", "read", "restore"]);
    await assert.rejects(backups.call("delete", { backup: "orders-1" }), /no such tool for this caller/);
    assert.equal(one.rows("SELECT name FROM backups").length, 2);
  });

  test("a request outlives the server, and its approval too", async () => {
    const again = { ...STANDBY, backup: "orders-2", overwrite: true };
    const elevation = await asked(backups, "restore", again, WHY);
    await one.home.stop("SIGKILL");
    await one.home.serve();
    await ann.signIn();
    await ben.signIn();
    await until("its upstream to be reached", async () => !/has not been reached/.test((await ann.page(`/r/${elevation}`)).text));
    await ann.approve(elevation);
    await ben.approve(elevation);
    await one.home.stop("SIGKILL");
    await one.home.serve();
    backups = await one.on("backups");
    await ran(backups, "restore", again);
    assert.equal(holds("orders-standby"), "A-1,A-2,A-3");
  });

  test("who is locked restores nothing, approved or not", async () => {
    await ann.approve(await asked(backups, "restore", { ...STANDBY, backup: "orders-2" }, WHY));
    await one.home.cli("lock", "caller", "backup-bot", "--why", "it restores too much");
    assert.equal(await denied(backups, "restore", { ...STANDBY, backup: "orders-2" }), "caller_locked");
    assert.equal(restored().length, 4);
  });

  test("the log says all of it, and verifies", async () => {
    await one.home.judge({ canaries: [one.key] });
  });
});
