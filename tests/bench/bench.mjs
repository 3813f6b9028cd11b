// ./dev bench [--quick]: the figures of docs/performance.md, measured in one run on this machine, loopback only.
// Prints a table and writes target/bench/latest.json, one flat object.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, sleep } from "../lib/home.mjs";
import { Person } from "../lib/person.mjs";
import { REQUEST, configured, nginx } from "./apis.mjs";
import { start as startContextForge } from "./contextforge/contextforge.mjs";
import { checks, envoy } from "./envoy.mjs";
import { hold } from "./held.mjs";
import { opa } from "./opa/opa.mjs";

const quick = process.argv.includes("--quick");
const seconds = quick ? 2 : 8;
/** Calls that are held at once, and of how many owners: 500 each. */
const HELD = quick ? 2000 : 10_000;
const owners = HELD / 500;
const target = process.env.CARGO_TARGET_DIR ?? "target";
const release = join(target, "release");
const stepup = join(release, "stepup");
const example = (name) => join(release, "examples", name);
const home = mkdtempSync(join(tmpdir(), "stepup-bench-"));
const children = [];
const figures = {};

const run = (args) => JSON.parse(execFileSync(stepup, ["--json", ...args], { cwd: home, encoding: "utf8" }));

/** Starts a program that prints its address on its first line. */
const listening = (program, args) => new Promise((done, fail) => {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  child.once("error", fail);
  child.stdout.once("data", (line) => done(String(line).trim()));
});

/** What wrk is told to report. */
const REPORT = `
done = function(summary, latency)
  io.write(string.format("JSON{\\"p50\\":%d,\\"p99\\":%d,\\"rps\\":%.0f,\\"bad\\":%d}\\n", latency:percentile(50), latency:percentile(99),
    summary.requests / summary.duration * 1e6, summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end`;

/** One wrk run of tools/call; every request has an id of its own. */
const load = (url, headers, call, connections) => {
  const lua = join(home, "load.lua");
  const quoted = (text) => JSON.stringify(text);
  const [before, after] = JSON.stringify({ jsonrpc: "2.0", id: 4711, method: "tools/call", params: call }).split("4711");
  writeFileSync(lua, `
local n = 0
wrk.method = "POST"
${Object.entries(headers).map(([name, value]) => `wrk.headers[${quoted(name)}] = ${quoted(value)}`).join("\n")}
request = function() n = n + 1; return wrk.format(nil, nil, nil, ${quoted(before)} .. n .. ${quoted(after)}) end
${REPORT}`);
  return measured(url, connections, lua);
};

/** One wrk run of a request without content. */
const gets = (url, headers, connections) => {
  const lua = join(home, "get.lua");
  writeFileSync(lua, `
${Object.entries(headers).map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`).join("\n")}
${REPORT}`);
  return measured(url, connections, lua);
};

const measured = (url, connections, lua) => {
  const out = execFileSync("wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", lua, url], { encoding: "utf8" });
  const result = JSON.parse(out.match(/JSON(\{.*\})/)[1]);
  if (result.bad > 0) throw new Error(`${url}: ${result.bad} requests failed\n${out}`);
  return result;
};

const post = async (url, headers, body) => {
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text}`);
  return { answer, json: text && !text.startsWith(":") && !text.startsWith("event") ? JSON.parse(text) : text };
};

/** The work while no processor halts: each has something to do that gives way to everything else. What a virtual machine
 * pays to wake a halted one is then in neither figure (rfd 18). */
const awake = async (work) => {
  const idle = cpus().map(() => spawn("chrt", ["-i", "0", "sh", "-c", "while :; do :; done"], { stdio: "ignore" }));
  children.push(...idle);
  await sleep(200);
  work();
  idle.forEach((child) => child.kill("SIGKILL"));
};

/** Opens a session of 2025-11-25: the headers of what follows in it. */
const session = async (url, key) => {
  const headers = { accept: "application/json, text/event-stream", authorization: `Bearer ${key}` };
  const hello = { jsonrpc: "2.0", id: 0, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "bench", version: "1" } } };
  const { answer } = await post(url, headers, hello);
  return { ...headers, "mcp-session-id": answer.headers.get("mcp-session-id"), "mcp-protocol-version": "2025-11-25" };
};

/** What a call of 2026-07-28 says of itself, in its headers and in its body. */
const stateless = (key, call) => ({
  headers: {
    accept: "application/json, text/event-stream", authorization: `Bearer ${key}`, "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": call.name,
  },
  call: { ...call, _meta: {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "bench", version: "1" },
  } },
});

const median = (all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)];

/** The median time of a whole list, page by page, in milliseconds with one decimal. */
const listing = async (url, headers, least) => {
  const times = [];
  for (let n = 0; n < (quick ? 5 : 25); n += 1) {
    const begin = process.hrtime.bigint();
    let tools = 0;
    for (let cursor, more = true; more; more = cursor !== undefined) {
      const { json } = await post(url, headers, { jsonrpc: "2.0", id: n, method: "tools/list", params: cursor === undefined ? {} : { cursor } });
      tools += json.result.tools.length;
      cursor = json.result.nextCursor;
    }
    if (tools < least) throw new Error(`${url}: ${tools} tools of ${least}`);
    times.push(Number(process.hrtime.bigint() - begin) / 1e6);
  }
  return Math.round(median(times) * 10) / 10;
};

const configure = async (upstream) => {
  const [agents, people, operations, grpc] = [await freePort(), await freePort(), await freePort(), await freePort()];
  execFileSync(stepup, ["init", home, "--team"]);
  writeFileSync(join(home, "policies", "starter.cedar"), `
@id("host") permit (principal in Group::"host", action == Action::"administer", resource);
@id("baseline") permit (principal in Group::"bots", action in [Action::"discover", Action::"tools/call", Action::"http/GET"], resource);
@id("act") @stepup("many") forbid (principal, action == Action::"tools/call:bench/act", resource);
`);
  writeFileSync(join(home, "stepup.toml"), `
[agents]
listen = "127.0.0.1:${agents}"
connections = 12000
[people]
listen = "localhost:${people}"
[operations]
listen = "127.0.0.1:${operations}"
[envoy]
listen = "127.0.0.1:${grpc}"
[challenge]
hold_with_progress = "30m"
[budgets]
in_flight = 512
held = 512
pending = 512
owner_pending = 512
[requirements.many]
approvals = 1
from = "approvers"
grant = { valid_for = "60m", uses = 4000000 }
[upstreams.bench]
url = "http://${upstream}/mcp"
environment = "bench"
share = "all"
[upstreams.modern]
url = "http://${upstream}/modern"
environment = "bench"
era = "modern"
${configured(upstream)}`);
  return { agents, people, operations, grpc };
};

const serve = async (ports) => {
  const begin = process.hrtime.bigint();
  const child = spawn(stepup, ["serve"], { cwd: home, stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, STEPUP_LOG: "warn" } });
  children.push(child);
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${ports.operations}/readyz`).then((answer) => answer.ok, () => false);
    if (ready) break;
    if (child.exitCode !== null) throw new Error("the server did not start");
    await sleep(2);
  }
  return { child, start: Number(process.hrtime.bigint() - begin) / 1e6 };
};

const resident = ({ pid }) => Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);

/** What a held call costs in memory, and what many of them cost everyone else: unloaded, held, and unloaded again. */
const holding = async (child, url, everyone, call) => {
  const callers = [];
  for (let n = 0; n < owners; n += 1) {
    run(["human", "invite", `owner-${n}`]);
    callers.push(await session(url, run(["caller", "add", `held-${n}`, "--owner", `owner-${n}`, "--group", "bots"]).key));
  }
  const p99 = () => load(url, everyone, call("read"), 4).p99;
  const first = p99();
  const before = resident(child);
  const held = await hold(url, callers, HELD, call("act"));
  figures[`held_${HELD}_kib_each`] = Math.round((resident(child) - before) / HELD * 10) / 10;
  const meanwhile = p99();
  if (!held.whole) throw new Error("not every held call is still held");
  held.end();
  await sleep(3000);
  figures.held_p99_ratio = Math.round(meanwhile / ((first + p99()) / 2) * 100) / 100;
};

/** Another gateway before the same upstream, one call and one list after the other; stepup's own are from the same run. */
const beside = async (upstream, call) => {
  const { child, authorization, before } = await startContextForge(home, children);
  const headers = { ...authorization, accept: "application/json, text/event-stream", "content-type": "application/json" };
  const [few, many] = [await before("bench", `http://${upstream}/mcp`, 2), await before("many", `http://${upstream}/many`, 1000)];
  // Nothing is asked of it after a load: meanwhile it closes the connection on which that would be.
  figures.contextforge_list_1000_tools_ms = await listing(many.url, headers, 1000);
  figures.contextforge_p50_us_c1 = load(few.url, headers, call(few.named("read")), 1).p50;
  await stop(child);
};

/** Requests to an HTTP API: past nginx alone, through stepup, and past nginx that asks it; the same of Envoy, and its checks alone. */
const apis = async (upstream, { agents, grpc }, key) => {
  const { child, plain, asks } = await nginx(home, children, { upstream, agents });
  const headers = { authorization: `Bearer ${key}` };
  const through = { nginx: `http://127.0.0.1:${plain}${REQUEST}`, api: `http://127.0.0.1:${agents}/http/api${REQUEST}`, asked: `http://127.0.0.1:${asks}${REQUEST}` };
  for (const [name, url] of Object.entries(through)) {
    figures[`${name}_p50_us_c1`] = gets(url, headers, 1).p50;
    figures[`${name}_rps_c32`] = gets(url, headers, 32).rps;
  }
  await awake(() => {
    for (const name of ["nginx", "api"]) figures[`awake_${name}_p50_us_c1`] = gets(through[name], headers, 1).p50;
  });
  await stop(child);
  Object.assign(figures, await checks(home, grpc, key, seconds));
  for (const [name, asks] of [["envoy", false], ["envoy_asks", true]]) {
    const { child, url } = await envoy(home, children, { upstream, grpc }, asks);
    figures[`${name}_p50_us_c1`] = gets(url, headers, 1).p50;
    figures[`${name}_rps_c32`] = gets(url, headers, 32).rps;
    await stop(child);
  }
};

const stop = async (child) => {
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await gone;
};

const main = async () => {
  const upstream = await listening(example("bench_upstream"), ["127.0.0.1:0"]);
  const proxy = await listening(example("bench_proxy"), ["127.0.0.1:0", upstream]);
  const ports = await configure(upstream);
  const { child, start } = await serve(ports);
  figures.start_ms = Math.round(start);
  await sleep(2000);
  const rss = readFileSync(`/proc/${child.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1];
  figures.idle_rss_mib = Math.round(Number(rss) / 1024);
  figures.binary_mib = Math.round(statSync(stepup).size / (1 << 20));

  run(["human", "invite", "robin"]);
  const { link } = run(["human", "invite", "ada", "--group", "approvers"]);
  const { key } = run(["caller", "add", "bot", "--owner", "robin", "--group", "bots"]);
  const approver = await Person.enrol(link);

  const url = `http://127.0.0.1:${ports.agents}/mcp/bench`;
  const headers = await session(url, key);
  const all = { ...headers, "content-type": "application/json" };
  const call = (name) => ({ name, arguments: { id: "OPS-17", text: "t".repeat(1800) } });

  const stopped = (await post(url, headers, { jsonrpc: "2.0", id: 1, method: "tools/call", params: call("act") })).json;
  const elevation = stopped.result._meta["dev.stepup/challenge"].elevation;
  // The same call, held: it is answered once the approval has let it through.
  const held = post(url, headers, { jsonrpc: "2.0", id: 2, method: "tools/call", params: call("act") }).then(() => process.hrtime.bigint());
  await sleep(300);
  await approver.approve(elevation);
  const voted = process.hrtime.bigint();
  figures.approve_to_call_ms = Math.max(0, Math.round(Number((await held) - voted) / 1e5) / 10);

  for (const connections of [1, 32]) {
    const plain = load(`http://${proxy}/mcp`, all, call("read"), connections);
    const permitted = load(url, all, call("read"), connections);
    if (connections === 1) {
      Object.assign(figures, { proxy_p50_us_c1: plain.p50, permitted_p50_us_c1: permitted.p50, permitted_p99_us_c1: permitted.p99 });
      figures.granted_p50_us_c1 = load(url, all, call("act"), 1).p50;
    } else {
      Object.assign(figures, { proxy_rps_c32: plain.rps, permitted_rps_c32: permitted.rps });
    }
  }
  // One after the other, so that what differs is the era.
  const at = (name) => `http://127.0.0.1:${ports.agents}/mcp/${name}`;
  const modern = stateless(key, call("read"));
  figures.legacy_p50_us_c1 = load(url, all, call("read"), 1).p50;
  figures.modern_p50_us_c1 = load(at("modern"), modern.headers, modern.call, 1).p50;
  await awake(() => {
    figures.awake_proxy_p50_us_c1 = load(`http://${proxy}/mcp`, all, call("read"), 1).p50;
    figures.awake_permitted_p50_us_c1 = load(url, all, call("read"), 1).p50;
  });
  await apis(upstream, ports, key);
  await stop(child);

  // By itself, so that a thousand definitions are in no other figure.
  appendFileSync(join(home, "stepup.toml"), `
[upstreams.many]
url = "http://${upstream}/many"
environment = "bench"
share = "all"
`);
  const again = await serve(ports);
  await sleep(2000);
  figures.list_1000_tools_ms = await listing(at("many"), await session(at("many"), key), 1000);
  await stop(again.child);

  // By itself too: what is held before is in no other figure.
  const last = await serve(ports);
  await sleep(2000);
  await holding(last.child, url, { ...await session(url, key), "content-type": "application/json" }, call);
  await stop(last.child);

  await beside(upstream, call);

  Object.assign(figures, JSON.parse(execFileSync(example("judge_rate"), { encoding: "utf8" })));
  Object.assign(figures, opa(target));
  const store = JSON.parse(execFileSync(example("commit_rate"), [home], { encoding: "utf8" }));
  Object.assign(figures, { commits_rps_1: store.commits_rps_1, commits_rps_32: store.commits_rps_32, fsync_us: store.fsync_us });
  const file = join(home, "log.jsonl");
  const { key: logKey, records } = run(["log", "export", file]);
  const begin = process.hrtime.bigint();
  execFileSync(stepup, ["log", "verify", file, "--key", logKey]);
  figures.verify_records_s = Math.round(records / (Number(process.hrtime.bigint() - begin) / 1e9));
};

const order = ["proxy_p50_us_c1", "proxy_rps_c32", "permitted_p50_us_c1", "permitted_p99_us_c1", "permitted_rps_c32", "granted_p50_us_c1", "legacy_p50_us_c1", "modern_p50_us_c1", "nginx_p50_us_c1", "nginx_rps_c32", "api_p50_us_c1", "api_rps_c32", "asked_p50_us_c1", "asked_rps_c32", "ext_authz_p50_us_c1", "ext_authz_per_s", "envoy_p50_us_c1", "envoy_rps_c32", "envoy_asks_p50_us_c1", "envoy_asks_rps_c32", "awake_nginx_p50_us_c1", "awake_api_p50_us_c1", "list_1000_tools_ms", "contextforge_p50_us_c1", "contextforge_list_1000_tools_ms", `held_${HELD}_kib_each`, "held_p99_ratio", "awake_proxy_p50_us_c1", "awake_permitted_p50_us_c1", ...[10, 100, 1000, 10_000].flatMap((n) => [`pdp_us_${n}`, `pdp_step_up_us_${n}`, `plain_cedar_us_${n}`, `opa_us_${n}`, `opa_step_up_us_${n}`]), "activation_ms_1000", "opa_prepare_ms_1000", "commits_rps_1", "commits_rps_32", "fsync_us", "verify_records_s", "approve_to_call_ms", "start_ms", "idle_rss_mib", "binary_mib"];
try {
  await main();
  mkdirSync("target/bench", { recursive: true });
  // Nothing but OPA may be left out.
  const taken = order.filter((name) => name in figures || !name.startsWith("opa_"));
  writeFileSync("target/bench/latest.json", `${JSON.stringify(Object.fromEntries(taken.map((name) => [name, figures[name]])))}\n`);
  for (const name of taken) console.log(`${name.padEnd(32)}${String(figures[name]).padStart(10)}`);
  const over = (kind) => Math.round(figures[`${kind}permitted_p50_us_c1`] - figures[`${kind}proxy_p50_us_c1`] - figures.fsync_us);
  console.log(`\npermitted over proxy and fsync: ${over("")} us; ${over("awake_")} us while no processor halts (to reach: 220)`);
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true });
}
