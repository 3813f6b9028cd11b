// A21: changing what decisions rest on is asked of the rules in force. docs/changing-policy.md, played.
import assert from "node:assert/strict";
import {
  appendFileSync, chownSync, closeSync, cpSync, lchownSync, linkSync, openSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Home, until } from "../lib/home.mjs";

const GUARD = `
@id("changes-are-approved")
@stepup("release-approval")
forbid (principal, action == Action::"administer", resource) unless { resource == Installation::"stepup/locks" };
`;

describe("where changes are approved", () => {
  let home, ann, olga, policy, good;
  const ready = async () => JSON.parse((await home.operations("/readyz")).text);
  const said = async (...words) => {
    const { code, stdout, stderr } = await home.saidBy("--json", ...words);
    return { code, ...JSON.parse(stdout || stderr) };
  };

  before(async () => {
    home = await Home.make();
    home.edit(/$/, '\n[requirements.told]\nall = [{ approvals = 1, from = "release-managers" }, { purpose = true }, { ticket = "CHG-[0-9]+" }]\n');
    policy = join(home.folder, "policies/starter.cedar");
    await home.serve();
    olga = await home.person("olga", "on-duty");
    ann = await home.person("ann", "release-managers");
    assert.equal((await home.saidBy("human", "account", "olga")).code, 0);
    assert.match((await home.saidBy("human", "account", "olga")).stdout, /already/);
    good = readFileSync(policy, "utf8") + GUARD;
    writeFileSync(policy, good);
    await until("the guard", async () => (await said("policy", "show")).rules.includes("changes-are-approved"));
  });

  after(() => home?.remove());

  test("a command changes nothing, says where to approve, and does it once when it is run again", async () => {
    const words = ["human", "groups", "olga", "--add", "on-call"];
    const first = await said(...words);
    assert.equal(first.code, 10);
    assert.equal(first.words.length, 4);
    assert.match(first.link, new RegExp(`/r/${first.request}$`));
    assert.equal((await said(...words)).request, first.request, "it waits once");
    await ann.approve(first.request);
    const done = await said(...words);
    assert.equal(done.code, 0);
    assert.deepEqual(done.groups, ["on-call", "on-duty"]);
    assert.equal((await said("human", "groups", "olga", "--remove", "on-call")).code, 10, "another change");
  });

  test("whose account it is does not approve, and a new caller's key is shown after approval only", async () => {
    const words = ["caller", "add", "robot", "--owner", "ann"];
    const first = await said(...words);
    assert.equal(first.code, 10);
    assert.equal(first.key, undefined);
    await assert.rejects(olga.approve(first.request), /behind|409/i);
    await ann.approve(first.request);
    assert.match((await said(...words)).key, /^stepup_/);
  });

  test("a saved folder waits, loudly, and comes into force by itself once it is approved", async () => {
    writeFileSync(policy, `${good}\n@id("more")\nforbid (principal, action == Action::"tools/call:ops/x", resource);\n`);
    const waiting = /its change waits for approval: \S+\/r\/(\S+)/;
    await until("the proposal", async () => waiting.test((await ready()).policy_folder));
    const first = waiting.exec((await ready()).policy_folder)[1];
    const before = (await ready()).rules;

    // Saved again, the earlier request is taken back.
    writeFileSync(policy, `${good}\n@id("other")\nforbid (principal, action == Action::"tools/call:ops/y", resource);\n`);
    const second = await until("the other proposal", async () => {
      const id = waiting.exec((await ready()).policy_folder)?.[1];
      return id !== first && id;
    });
    await until("its end", async () => (await said("requests", "show", first)).state === "withdrawn");
    const { text: page } = await ann.page(`/r/${second}`);
    assert.match(page, /Change the rules/);
    assert.match(page, /class="line new"/);
    await ann.approve(second);
    await until("the rules", async () => (await ready()).policy_folder === "in force");
    assert.equal((await ready()).rules, before + 1);
  });

  test("what was approved of a folder that says something else by now is over, and is asked for again", async () => {
    const before = readFileSync(policy, "utf8");
    const rules = (name) => `${before}\n@id("${name}")\nforbid (principal, action == Action::"tools/call:ops/${name}", resource);\n`;
    const waiting = /its change waits for approval: \S+\/r\/(\S+)/;
    const asked = (unlike) => until("a proposal", async () => {
      const id = waiting.exec((await ready()).policy_folder)?.[1];
      return id && !unlike.includes(id) && id;
    });
    writeFileSync(policy, rules("first"));
    const first = await asked([]);
    writeFileSync(policy, rules("second"));
    // Before the folder is looked at, or too late for it.
    await ann.approve(first).catch(({ status }) => assert.equal(status, 409));
    const second = await asked([first]);
    writeFileSync(policy, rules("first"));
    const third = await asked([first, second]);
    assert.equal((await said("policy", "show")).rules.includes("first"), false);
    writeFileSync(policy, before);
    await until("its end", async () => (await said("requests", "show", third)).state === "withdrawn");
  });

  test("a folder that cannot be read is in the log, once", async () => {
    const before = readFileSync(policy, "utf8");
    const refused = async () => (await said("log", "tail", "-n", "200")).records.filter(({ kind }) => kind === "policy_refused").length;
    const earlier = await refused();
    writeFileSync(policy, Buffer.from([0x40, 0xff, 0xfe]));
    await until("the trouble", async () => /is not UTF-8 from byte 1 on\n {2}help: save it as UTF-8/.test((await ready()).policy_folder));
    home.process.kill("SIGHUP");
    writeFileSync(policy, before);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
    assert.equal(await refused(), earlier + 1);
  });

  test("a restart forgets no proposal: it waits on, and comes into force once it is approved", async () => {
    const other = readFileSync(policy, "utf8");
    writeFileSync(policy, `${other}\n@id("third")\nforbid (principal, action == Action::"tools/call:ops/w", resource);\n`);
    const waiting = /its change waits for approval: \S+\/r\/(\S+)/;
    const id = await until("the proposal", async () => waiting.exec((await ready()).policy_folder)?.[1]);
    await home.stop();
    await home.serve();
    assert.equal(waiting.exec((await ready()).policy_folder)?.[1], id);
    await ann.approve(id);
    await until("the rules", async () => (await said("policy", "show")).rules.includes("third"));
  });

  test("where the requirement asks why and for a ticket, the command says both, and nobody signs before", async () => {
    const before = readFileSync(policy, "utf8");
    const told = `\n@id("said") @stepup("told")\nforbid (principal, action == Action::"administer", resource == Installation::"stepup/callers");\n`;
    writeFileSync(policy, before + told);
    const waiting = /its change waits for approval: \S+\/r\/(\S+)/;
    await ann.approve(await until("the proposal", async () => waiting.exec((await ready()).policy_folder)?.[1]));
    await until("the rules", async () => (await said("policy", "show")).rules.includes("said"));
    const words = ["caller", "add", "clerk", "--owner", "ann"];
    const first = await said(...words);
    assert.deepEqual([first.code, first.wants_purpose, first.wants_ticket], [10, true, true]);
    const { stderr } = await home.saidBy(...words);
    assert.match(stderr, /It asks why, and for a ticket: run the command again with --purpose and --ticket\./);
    await assert.rejects(ann.approve(first.request), /not yet said/);
    const half = await said("--purpose", "a clerk for the desk", "--ticket", "no-ticket", ...words);
    assert.deepEqual([half.request, half.wants_purpose, half.wants_ticket], [first.request, false, true]);
    await assert.rejects(ann.approve(first.request), /not yet said/);
    const whole = await said("--ticket", "CHG-7", ...words);
    assert.deepEqual([whole.code, whole.request, whole.wants_purpose, whole.wants_ticket], [10, first.request, false, false]);
    const { text: page } = await ann.page(`/r/${first.request}`);
    assert.match(page, /a clerk for the desk/);
    assert.match(page, /CHG-7/);
    await ann.approve(first.request);
    assert.match((await said(...words)).key, /^stepup_/);
  });

  test("a proposal is read as lines on the command line, and whose account it was in the history", async () => {
    const before = readFileSync(policy, "utf8");
    writeFileSync(policy, `${before}\n@id("shown")\nforbid (principal, action == Action::"tools/call:ops/v", resource);\n`);
    const { code, request } = await said("policy", "propose");
    assert.equal(code, 10, "propose is activate by another name");
    const { stdout } = await home.saidBy("requests", "show", request);
    assert.match(stdout, /^ {2}changes › starter\.cedar$/m);
    assert.match(stdout, /^ {4}\+ @id\("shown"\)$/m);
    assert.match(stdout, /^ {4}@@ -\d+,\d+ \+\d+,\d+ @@$/m);
    assert.match(stdout, /^ {2}asked by os:\d+ \(owner olga\)\n {2}changes {2}stepup\/policy$/m);
    writeFileSync(policy, before.replaceAll("\n", "\r\n"));
    const ends = await said("policy", "propose");
    const { stdout: shown } = await home.saidBy("requests", "show", ends.request);
    assert.match(shown, /nothing changes but how they end/);
    assert.match(shown, /⟨U\+000D⟩$/m);
    assert.match((await ann.page(`/r/${ends.request}`)).text, /nothing changes but how they end/);
    writeFileSync(policy, before);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
    const { stdout: history } = await home.saidBy("policy", "history");
    assert.match(history, new RegExp(`os:${process.getuid()} \\(olga\\)`));
    assert.equal((await said("policy", "history")).revisions[0].human, "olga");
  });

  test("a roll-back is a proposal, and the folder does not undo it at the next start", async () => {
    const { revisions: [now, earlier] } = await said("policy", "history");
    const words = ["policy", "rollback", String(earlier.revision)];
    const { code, request } = await said(...words);
    assert.equal(code, 10);
    await ann.approve(request);
    assert.equal((await said(...words)).changed, true);
    await home.stop();
    await home.serve();
    assert.equal((await said("policy", "show")).policy, earlier.policy);
    assert.match((await ready()).policy_folder, /other rules were put in force since/);
    assert.notEqual(now.policy, earlier.policy);
  });

  test("a rejected change stays out, with the reason", async () => {
    appendFileSync(policy, '\n@id("last")\nforbid (principal, action == Action::"tools/call:ops/z", resource);\n');
    const waiting = /its change waits for approval: \S+\/r\/(\S+)/;
    const id = await until("the proposal", async () => waiting.exec((await ready()).policy_folder)?.[1]);
    await ann.reject(id, "not on a Friday");
    await until("the reason", async () => /is rejected: not on a Friday/.test((await ready()).policy_folder));
    const again = await said("policy", "activate");
    assert.equal(again.code, 12);
    assert.match(again.error.happened, /not on a Friday/);
  });

  test("recovering is for a server that is stopped, asks nobody, and is in the log", async () => {
    const refused = await said("policy", "recover");
    assert.equal(refused.code, 1);
    assert.match(refused.error.happened, /while no server runs/);
    await home.stop();
    writeFileSync(policy, `${good}\n// recovered`);
    assert.equal((await said("policy", "recover")).changed, true);
    await home.serve();
    assert.ok((await home.saidBy("log", "tail", "-n", "60")).stdout.includes("policy_recovered"));
    assert.equal((await ready()).policy_folder, "in force");
  });

  test("a folder without rules, as one is while it is replaced, puts nothing in force", async () => {
    const kept = readFileSync(policy, "utf8");
    renameSync(policy, `${policy}.away`);
    await until("the word", async () => /no rules/.test((await ready()).policy_folder));
    assert.ok((await ready()).rules > 0);
    assert.equal((await said("policy", "activate")).code, 1);
    writeFileSync(policy, kept);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
  });

  test("what several accounts could have written is not proposed: whoever approves could be one of them", { skip: process.getuid() !== 0 }, async () => {
    const kept = readFileSync(policy, "utf8");
    for (const file of [policy, home.config]) {
      chownSync(file, 12345, 12345);
      writeFileSync(policy, `${kept}\n// ${file}`);
      await until("the word", async () => /several accounts could have written it \(os:0, os:12345\)/.test((await ready()).policy_folder));
      const byCommand = await home.saidBy("policy", "activate");
      assert.match(byCommand.stderr, /not proposed: several accounts could have written it \(os:0, os:12345\)/);
      chownSync(file, 0, 0);
      writeFileSync(policy, kept);
      await until("the folder", async () => (await ready()).policy_folder === "in force");
    }
    // A link, and what it leads to.
    const [link, led] = [join(home.folder, "policies/linked.cedar"), join(home.folder, "policies/linked.rules")];
    for (const [file, chown] of [[led, chownSync], [link, lchownSync]]) {
      writeFileSync(led, `@id("linked") forbid (principal, action == Action::"tools/call:ops/u", resource);\n`);
      symlinkSync(led, link);
      chown(file, 12345, 12345);
      writeFileSync(policy, `${kept}\n// linked`);
      await until("the word", async () => /several accounts could have written it \(os:0, os:12345\)/.test((await ready()).policy_folder));
      rmSync(link);
      rmSync(led);
      writeFileSync(policy, kept);
      await until("the folder", async () => (await ready()).policy_folder === "in force");
    }
  });

  test("a folder that is a link is followed to wherever that leads by then", async () => {
    const [folder, other] = [join(home.folder, "policies"), join(home.folder, "others")];
    cpSync(folder, other, { recursive: true });
    writeFileSync(join(other, "more.cedar"), `@id("more") forbid (principal, action == Action::"tools/call:ops/u", resource);\n`);
    renameSync(folder, `${folder}.first`);
    symlinkSync(`${folder}.first`, folder);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
    symlinkSync(other, `${folder}.next`);
    renameSync(`${folder}.next`, folder);
    await until("the word", async () => (await ready()).policy_folder !== "in force");
    rmSync(folder);
    renameSync(`${folder}.first`, folder);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
  });

  test("what is being written is not read before it is closed", async () => {
    const [file, before] = [join(home.folder, "policies/written.cedar"), await ready()];
    const open = openSync(file, "w");
    writeSync(open, `@id("first") forbid (principal, action == Action::"tools/call:ops/u", resource);\n`);
    await new Promise((done) => setTimeout(done, 1500));
    assert.equal((await ready()).policy_folder, before.policy_folder, "half of it is proposed");
    writeSync(open, `@id("second") forbid (principal, action == Action::"tools/call:ops/u", resource);\n`);
    closeSync(open);
    await until("the word", async () => (await ready()).policy_folder !== "in force");
    const waiting = (await home.pending()).find((request) => /rules/.test(JSON.stringify(request)));
    assert.ok(waiting, "it is asked for");
    rmSync(file);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
  });

  test("what is written by another name of the same file is noticed", async () => {
    const other = join(home.outside, "other-name");
    linkSync(policy, other);
    const kept = readFileSync(policy, "utf8");
    writeFileSync(other, `${kept}\n@id("linked") forbid (principal, action == Action::"tools/call:ops/u", resource);`);
    await until("the word", async () => (await ready()).policy_folder !== "in force");
    writeFileSync(other, kept);
    await until("the folder", async () => (await ready()).policy_folder === "in force");
    rmSync(other);
  });

  test("the log verifies, and the independent checker agrees", async () => {
    await home.judge();
  });

  test("the static check says who could come to approve for themselves", async () => {
    const guarded = await home.saidBy("policy", "check", "--live");
    assert.doesNotMatch(guarded.stdout + guarded.stderr, /self_approval/);
    writeFileSync(policy, good.replace(GUARD, ""));
    const open = await home.saidBy("policy", "check", "--live");
    assert.match(open.stdout + open.stderr, /self_approval[^]*olga, by the account os:\d+, can change policy, groups, callers and people/);
  });
});
