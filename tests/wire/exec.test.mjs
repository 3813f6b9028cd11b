// `stepup exec`: one command under one permit, and how it ended is in the log.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import http from "node:http";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Home, until } from "../lib/home.mjs";

const CONFIGURED = `
[upstreams.shell]
environment = "production"
[upstreams.shell.operations.deploy]
on = "command"
context = { command = "string[]", cwd = "string" }
title = "Deploy {/id}"
[upstreams.shell.operations.look]
on = "service"
context = { command = "string[]", cwd = "string" }
[upstreams.shell.operations.rotate]
on = "secret"
context = { command = "string[]", cwd = "string" }
[upstreams.shell.operations.never]
on = "nothing"
`;
const RULES = `
@id("deploy") @stepup("release-approval") forbid (principal, action == Action::"do:shell/deploy", resource);
@id("rotate") @stepup("secret-change") forbid (principal, action == Action::"do:shell/rotate", resource);
@id("never") forbid (principal, action == Action::"do:shell/never", resource);
`;

describe("stepup exec", () => {
  let home, ann, key, keyFile;
  const started = (words, env = {}, how = {}) => {
    const child = spawn(join(home.bin, "stepup"), ["exec", ...(words.includes("--url") ? [] : ["--url", home.agentsUrl]), ...words], {
      cwd: home.outside, env: { ...process.env, STEPUP_KEY: key, ...env }, stdio: ["ignore", "pipe", "pipe"], ...how,
    });
    const said = { child, stdout: "", stderr: "" };
    child.stdout.on("data", (part) => { said.stdout += part; });
    child.stderr.on("data", (part) => { said.stderr += part; });
    said.ended = new Promise((done) => child.once("close", (code) => done({ ...said, code })));
    return said;
  };
  const exec = (words, env) => started(words, env).ended;
  const last = async (kind) => {
    const { record } = (await home.cli("log", "tail")).records.filter((one) => one.kind === kind).at(-1);
    return JSON.stringify(await home.cli("log", "show", record));
  };

  before(async () => {
    home = await Home.make();
    home.edit(/$/, CONFIGURED);
    home.permitEverything(RULES);
    await home.serve();
    ann = await home.person("ann", "release-managers");
    key = await home.caller("ci");
    keyFile = join(home.root, "key");
    writeFileSync(keyFile, key);
    chmodSync(keyFile, 0o600);
  });

  after(() => home?.remove());

  test("does not wait for people who cannot sign before it says why", async () => {
    const words = ["--operation", "shell/rotate", "--resource", "db", "--wait", "5m"];
    const unsaid = await exec([...words, "--", "true"]);
    assert.equal(unsaid.code, 10, unsaid.stderr);
    assert.match(unsaid.stderr, /more has to be said first[^]*--purpose/);
    const waiting = started([...words, "--purpose", "it leaked", "--", "sh", "-c", "echo rotated"]);
    await until("it waits", async () => /it needs approval/.test(waiting.stderr));
    await ann.approve(/\/r\/(elv_\w+)/.exec(waiting.stderr)[1]);
    const ran = await waiting.ended;
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.stdout, "rotated\n");
  });

  test("runs what policy permits, ends as it ends, and says so", async () => {
    const ran = await exec(["--operation", "shell/look", "--resource", "api", "--", "sh", "-c", "echo $STEPUP_ATTEMPT ${STEPUP_KEY:-none}; exit 3"]);
    assert.equal(ran.code, 3, ran.stderr);
    assert.match(ran.stdout, /^att_\w+ none\n$/);
    assert.equal(ran.stderr, "");
    const reported = await last("reported");
    assert.match(reported, /failed.*exit 3/);
    const gone = await exec(["--operation", "shell/look", "--resource", "api", "--key-file", keyFile, "--", "/no/such/program"], { STEPUP_KEY: "" });
    assert.equal(gone.code, 127);
    assert.match(gone.stderr, /cannot be started/);
  });

  test("waits for the people and runs exactly that, once", async () => {
    const file = join(home.outside, "ran");
    const words = ["--operation", "shell/deploy", "--resource", "api", "--", "touch", file];
    const waiting = started(words);
    const [, id] = await until("the link", async () => /\/r\/(\S+)/.exec(waiting.stderr));
    assert.ok(!existsSync(file));
    const { text: card } = await ann.page(`/r/${id}`);
    assert.match(card, /touch/);
    await ann.approve(id);
    const ran = await waiting.ended;
    assert.equal(ran.code, 0, ran.stderr);
    assert.ok(existsSync(file));
    const other = await exec(["--wait", "0s", "--operation", "shell/deploy", "--resource", "api", "--", "touch", `${file}-other`]);
    assert.equal(other.code, 10, other.stderr);
    assert.match(other.stderr, /nobody has approved it yet/);
    assert.ok(!existsSync(`${file}-other`));
  });

  test("says why it did not run, by its exit too", async () => {
    const denied = await exec(["--operation", "shell/never", "--resource", "x", "--", "true"]);
    assert.ok([1, 11].includes(denied.code), denied.stderr);
    const unknown = await exec(["--operation", "shell/none", "--resource", "x", "--", "true"]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no such operation/i);
    const stranger = await exec(["--operation", "shell/look", "--resource", "x", "--", "true"], { STEPUP_KEY: "stepup_wrong" });
    assert.equal(stranger.code, 1);
    const away = await exec(["--url", "http://127.0.0.1:9", "--operation", "shell/look", "--resource", "x", "--", "true"]);
    assert.equal(away.code, 1);
    const rejected = started(["--operation", "shell/deploy", "--resource", "db", "--", "true"]);
    const [, id] = await until("the link", async () => /\/r\/(\S+)/.exec(rejected.stderr));
    await ann.reject(id, "not on a Friday");
    const ended = await rejected.ended;
    assert.equal(ended.code, 12, ended.stderr);
    assert.match(ended.stderr, /not on a Friday/);
  });

  test("a gateway that does not hold the question is asked again in peace", async () => {
    let asked = 0;
    const busy = http.createServer((request, response) => {
      asked += 1;
      request.resume();
      response.writeHead(401, { "content-type": "application/problem+json" }).end('{"slug":"approval_required","requires":"r","link":"l"}');
    });
    await new Promise((done) => busy.listen(0, "127.0.0.1", done));
    const ran = await exec(["--url", `http://127.0.0.1:${busy.address().port}`, "--wait", "3s", "--operation", "shell/look", "--resource", "x", "--", "true"]);
    busy.close();
    assert.equal(ran.code, 10, ran.stderr);
    assert.ok(asked <= 3, `${asked} times in three seconds`);
  });

  test("a signal ends the command and not the account of it", async () => {
    for (const [signal, group] of [["SIGINT", true], ["SIGTERM", false], ["SIGHUP", false]]) {
      const ran = started(["--operation", "shell/look", "--resource", signal, "--", "sh", "-c", "trap 'exit 7' INT TERM HUP; echo up; sleep 20 & wait"], {}, { detached: true });
      await until("the command", async () => ran.stdout.includes("up"));
      process.kill(group ? -ran.child.pid : ran.child.pid, signal);
      const ended = await new Promise((done) => ran.child.once("exit", (code, by) => done({ code, by })));
      assert.deepEqual(ended, { code: 7, by: null }, signal);
      assert.match(await last("reported"), /failed.*exit 7/);
      try { process.kill(-ran.child.pid, "SIGKILL"); } catch { /* all of it has ended */ }
    }
  });

  test("only its own caller reports an end, and once", async () => {
    const other = await home.caller("other");
    const send = (path, body, by = key) => fetch(`${home.agentsUrl}${path}`, {
      method: "POST", body: JSON.stringify(body), headers: { authorization: `Bearer ${by}`, "content-type": "application/json" },
    });
    const ask = { operation: "shell/look", id: "api", context: { command: ["true"], cwd: "/" } };
    const { attempt } = await (await send("/v1/permits", ask)).json();
    const done = { outcome: "done", says: "all well" };
    assert.equal((await send(`/v1/attempts/${attempt}`, done, other)).status, 404);
    for (const bad of [{ outcome: "unknown" }, { outcome: "done", says: 7 }, { outcome: "done", more: 1 }, {}]) {
      assert.equal((await send(`/v1/attempts/${attempt}`, bad)).status, 400, JSON.stringify(bad));
    }
    assert.equal((await send(`/v1/attempts/${attempt}`, done)).status, 204);
    assert.equal((await send(`/v1/attempts/${attempt}`, done)).status, 404);
    assert.equal((await send("/v1/permits", { ...ask, context: { command: "true" } })).status, 400);
    assert.equal((await send("/v1/permits", { ...ask, more: 1 })).status, 400);
  });

  test("the log verifies, and the key is nowhere", () => home.judge({ canaries: [key] }));
});
