// What goes wrong for operators, row by row of docs/how-it-fails.md: closed, said, and recovered from.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Agent, challenge, read, refusal } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { assertRefused } from "../lib/errors.mjs";
import { Home, until } from "../lib/home.mjs";
import { ops } from "../lib/upstreams.mjs";

const production = (version) => ({ service: "checkout", version, environment: "production" });
const call = (name, args) => ({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name, arguments: args } });
const reads = async (agent) => (await agent.call("get_ticket", { id: "OPS-17" })).structuredContent?.id === "OPS-17";

describe("a configuration that is wrong", () => {
  /** What is changed, and what is said of it. */
  const ROWS = [
    ["an unknown key", ["activate = \"on-save\"", "activate = \"on-save\"\nactivat = 1"], [/stepup\.toml:\d+/, /activat/, /did you mean/]],
    ["no TOML", ["[people]", "[people"], [/stepup\.toml:\d+/]],
    ["a requirement that nobody signs", ["approvals = 1\nfrom = \"release-managers\"\npending_for", "purpose = true\npending_for"], [/release-approval/, /signature/]],
    ["an upstream that is neither", [/$/, "\n[upstreams.nothing]\nenvironment = \"x\"\n"], [/upstreams\.nothing/, /url or command/]],
    ["a database of another kind", ["# url = \"sqlite:stepup.db\"", "url = \"postgres://localhost/x\""], [/SQLite/, /help/]],
    ["a time that is none", ["# hold = \"50s\"", "hold = \"soon\""], [/stepup\.toml:\d+/, /soon/]],
  ];
  for (const [title, [from, to], says] of ROWS) {
    test(`${title}: nothing starts, and it says where`, async () => {
      const home = await Home.make();
      home.edit(from, to);
      for (const verb of ["check", "serve"]) {
        const { code, stderr, stdout } = await home.saidBy(verb);
        assert.equal(code, 1, verb);
        for (const part of says) assert.match(stderr + stdout, part, verb);
        assert.doesNotMatch(stderr, /panick/);
      }
      await home.remove();
    });
  }

  test("keys that are gone: nothing starts, and nothing makes new ones", async () => {
    const home = await Home.make();
    for (const file of readdirSync(join(home.folder, "keys"))) rmSync(join(home.folder, "keys", file));
    const { code, stderr } = await home.saidBy("serve");
    assert.equal(code, 1);
    assert.match(stderr, /keys/);
    assert.deepEqual(readdirSync(join(home.folder, "keys")), []);
    await home.remove();
  });

  test("init overwrites nothing", async () => {
    const home = await Home.make();
    const before = readFileSync(home.config, "utf8");
    const { code } = await home.saidBy("init", "--team", home.folder);
    assert.equal(code, 1);
    assert.equal(readFileSync(home.config, "utf8"), before);
    await home.remove();
  });
});

describe("a server in use", () => {
  let home, key, agent, alice, policy;

  before(async () => {
    home = await Home.make({ challenge: { hold: "1s" }, upstreams: (home) => ({ ops: ops(home) }) });
    policy = join(home.folder, "policies/starter.cedar");
    await home.serve();
    key = await home.caller("agent");
    alice = await home.person();
    await home.pinned("ops/deploy");
    agent = await Agent.open(home, "ops", key);
  });

  after(() => home?.remove());

  test("a second server on the same files refuses to start", async () => {
    const { code, stderr } = await home.saidBy("serve");
    assert.equal(code, 1);
    assert.match(stderr, /./);
    assert.ok(await reads(agent));
  });

  test("a broken policy file changes nothing, and says where; a good one counts at once", async () => {
    const good = readFileSync(policy, "utf8");
    const from = home.said().length;
    writeFileSync(policy, `${good}\n@id("open")\npermit (principal, action in [Action::"tools/call"], resource) unles { true };\n`);
    await until("the finding", () => /do not check out/.test(home.said().slice(from)));
    assert.ok(challenge(await agent.call("deploy", production("1"))), "the rules in force stay");
    const forbid = '@id("freeze")\nforbid (principal, action == Action::"tools/call:ops/deploy", resource);\n';
    writeFileSync(policy, `${good}\n${forbid}`);
    await until("the freeze", async () => refusal(await agent.call("deploy", production("1")))?.slug === "policy_denied");
    writeFileSync(policy, good);
    await until("the end of the freeze", async () => challenge(await agent.call("deploy", production("1"))));
  });

  test("a new forbid beats an approval that was given before it", async () => {
    const { elevation } = challenge(await agent.call("deploy", production("2")));
    await alice.approve(elevation);
    const good = readFileSync(policy, "utf8");
    appendFileSync(policy, '\n@id("freeze")\nforbid (principal, action == Action::"tools/call:ops/deploy", resource);\n');
    await until("the freeze", async () => refusal(await agent.call("deploy", production("3")))?.slug === "policy_denied");
    assert.equal(refusal(await agent.call("stepup_run", { elevation })).slug, "policy_denied");
    writeFileSync(policy, good);
    assert.equal(arrivals(home.arrivals).filter(({ tool }) => tool === "deploy").length, 0);
  });

  test("an upstream's child that is killed is started again, and what it ran is not repeated", async () => {
    const child = () => execFileSync("pgrep", ["-f", `sample-ops --database ${join(home.outside, "ops.db")}`]).toString().trim().split("\n").map(Number);
    child().forEach((id) => process.kill(id, "SIGKILL"));
    const answer = await agent.call("get_ticket", { id: "OPS-17" });
    if (answer.isError) assert.equal(refusal(answer).slug, "upstream_unreachable");
    await until("the upstream's next child", () => reads(agent));
  });

  test("the checker agrees", async () => {
    await home.judge({ canaries: [key] });
    assert.ok(!/panick/i.test(home.said()));
  });
});

describe("a full disk", () => {
  const SIZE = 48 << 20;
  let disk, home;

  before(async () => {
    disk = mkdtempSync(join(tmpdir(), "stepup-disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", disk], { stdio: "ignore" });
    } catch {
      rmdirSync(disk);
      disk = null; // without the right to mount there is no small disk to fill
      return;
    }
    home = await Home.make({ challenge: { hold: "1s" }, upstreams: (home) => ({ ops: ops(home) }), within: disk });
  });

  after(async () => {
    if (!disk) return;
    await home?.remove();
    execFileSync("umount", [disk]);
    rmdirSync(disk);
  });

  const fill = () => {
    const chunk = Buffer.alloc(1 << 20);
    const file = openSync(join(disk, "full"), "w");
    for (let size = chunk.length; size >= 1;) {
      try {
        writeSync(file, chunk, 0, size);
      } catch {
        size = Math.floor(size / 2);
      }
    }
    closeSync(file);
  };

  test("stops everything but what takes power away, and nothing is lost when there is room again", async (t) => {
    if (!disk) return t.skip("mounting is not allowed here");
    await home.serve();
    const key = await home.caller("agent");
    const other = await home.caller("other");
    await home.pinned("ops/deploy");
    const agent = await Agent.open(home, "ops", key);
    assert.ok(await reads(agent));
    fill();
    const full = await until("a refusal", async () => {
      const answer = await agent.post(call("get_ticket", { id: "OPS-17" }));
      return read(answer).result?.isError && answer;
    });
    assertRefused(full, "store_unavailable");
    const seen = arrivals(home.arrivals).length;
    assertRefused(await agent.post(call("get_ticket", { id: "OPS-17" })), "store_unavailable");
    assert.equal(arrivals(home.arrivals).length, seen, "nothing ran");
    await home.cli("lock", "caller", "other", "--why", "the disk is full and it goes on");
    rmSync(join(disk, "full"));
    await until("the server to recover", () => reads(agent));
    const locked = await Agent.open(home, "ops", other);
    assert.equal(refusal(await locked.call("get_ticket", { id: "OPS-17" })).slug, "caller_locked", "the lock was kept");
    await home.stop();
    await home.judge();
  });
});

test("T121: a store that is older than the head kept outside of it is not opened, and a log that does not extend a kept head does not verify", async () => {
  const home = await Home.make();
  try {
    const store = (name) => join(home.folder, name);
    await home.serve();
    await home.caller("agent");
    await home.stop();
    const older = readFileSync(store("stepup.db"));
    await home.serve();
    await home.caller("later");
    const kept = store("kept.note");
    const { size } = await home.cli("log", "tail");
    await until("the head to be signed", async () => {
      const { text } = await home.operations("/log/checkpoint");
      writeFileSync(kept, text);
      return Number(text.split("\n")[1]) >= size && text === readFileSync(store("keys/log.head"), "utf8");
    });
    await home.stop();
    const log = store("log.jsonl");
    const { key } = await home.cli("log", "export", log);
    await home.cli("log", "verify", log, "--key", key, "--earlier", kept);
    writeFileSync(store("stepup.db"), older);
    for (const words of [["serve"], ["caller", "list"], ["log", "tail"], ["human", "invite", "eve"]]) {
      const said = await home.saidBy(...words);
      assert.equal(said.code, 1);
      assert.match(said.stderr, /log\.head.*backup/s, words.join(" "));
    }
    // Who takes that head away too leaves a fork, which shows to whoever kept a head.
    rmSync(store("keys/log.head"));
    await home.serve();
    await home.caller("other");
    await home.cli("log", "export", log);
    await home.cli("log", "verify", log, "--key", key);
    const forked = await home.saidBy("log", "verify", log, "--key", key, "--earlier", kept);
    assert.equal(forked.code, 15);
    assert.match(forked.stderr, /does not verify/);
    await home.stop();
    assert.match(home.said(), /an old copy of it would not be noticed/);
    writeFileSync(store("keys/log.head"), "nonsense\n");
    assert.equal((await home.saidBy("caller", "list")).code, 1);
  } finally {
    await home.remove();
  }
});
