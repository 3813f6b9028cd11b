// A Rust service with the tower layer (crates/layer) before a real gateway.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Home, until } from "../lib/home.mjs";

const CONFIGURED = `
[upstreams.todo]
environment = "production"
[upstreams.todo.operations.purge]
on = "list"
context = { path = "string" }
`;
const RULES = `
@id("purge") @stepup("release-approval") forbid (principal, action == Action::"do:todo/purge", resource)
unless { context.arguments.id == "scratch" || context.arguments.id == "broken" };
`;

describe("a service with the layer", () => {
  let home, ann, child, at;
  const send = (path, { method = "POST", headers = {} } = {}) => fetch(`http://${at}${path}`, { method, headers })
    .then(async (answer) => ({ status: answer.status, headers: answer.headers, text: await answer.text() }));
  const kinds = async () => (await home.cli("log", "tail")).records.map(({ kind }) => kind);
  const start = async (key) => {
    child = spawn(join(home.bin, "examples/guarded"), ["127.0.0.1:0"], {
      env: { ...process.env, GATEWAY: home.agentsUrl, STEPUP_KEY: key }, stdio: ["ignore", "pipe", "inherit"],
    });
    at = await new Promise((done) => child.stdout.once("data", (line) => done(String(line).trim())));
  };

  before(async () => {
    home = await Home.make();
    home.edit(/$/, CONFIGURED);
    home.permitEverything(RULES);
    await home.serve();
    ann = await home.person("ann", "release-managers");
    await start(await home.caller("todo-service"));
  });

  after(async () => {
    child?.kill();
    await home?.remove();
  });

  test("what wants nothing runs, and what is permitted runs under an attempt whose end is reported", async () => {
    assert.equal((await send("/lists", { method: "GET" })).text, "all lists");
    const { status, text } = await send("/lists/scratch/purge");
    assert.deepEqual([status, /^purged scratch as att_/.test(text)], [200, true]);
    assert.equal((await send("/lists/broken/purge")).status, 500);
    await until("both reports", async () => (await kinds()).filter((kind) => kind === "reported").length === 2);
  });

  test("what takes approval does not reach the service, and does once after it", async () => {
    const stopped = await send("/lists/1/purge");
    assert.equal(stopped.status, 401);
    assert.equal(stopped.headers.get("content-type"), "application/problem+json");
    const { elevation, slug } = JSON.parse(stopped.text);
    assert.equal(slug, "approval_required");
    const waiting = send("/lists/1/purge", { headers: { prefer: "wait=20" } });
    await ann.approve(elevation);
    assert.equal((await waiting).status, 200);
    assert.equal((await send("/lists/1/purge")).status, 401);
  });

  test("where nobody can be asked, or its key is none, nothing runs", async () => {
    child.kill();
    await start("stepup_wrong");
    const wrong = await send("/lists/scratch/purge");
    assert.deepEqual([wrong.status, JSON.parse(wrong.text).slug], [503, "gateway_unreachable"]);
    assert.equal(wrong.headers.get("www-authenticate"), null);
    await home.stop();
    assert.equal((await send("/lists/scratch/purge")).status, 503);
    assert.equal((await send("/lists", { method: "GET" })).status, 200);
  });
});
