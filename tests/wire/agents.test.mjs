// Bad input to the real binary on the agents' listener: every refusal is one of docs/errors.md in the protocol's own
// form, nothing arrives upstream, nobody else notices, and nothing secret is written anywhere.
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { Agent, challenge, raw, read, refusal } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { assertRefused } from "../lib/errors.mjs";
import { Home, until } from "../lib/home.mjs";
import { ops } from "../lib/upstreams.mjs";

const SECRET = "canary-secret-value-83b2c5";

let home, key, agent, other, healthy, alice;

before(async () => {
  home = await Home.make({
    challenge: { hold: "20s" },
    upstreams: (home) => ({ ops: ops(home), dead: { command: ["/bin/false"], tools: { "*": { reviewed: "read-only" } } } }),
  });
  await home.serve();
  key = await home.caller("agent");
  await home.pinned("ops/deploy");
  agent = await Agent.open(home, "ops", key);
  other = await home.caller("other");
  healthy = await Agent.open(home, "ops", other);
  alice = await home.person();
});

after(() => home?.remove());

const call = (name, args, more = {}) => ({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name, arguments: args, ...more } });
const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);
const without = (...names) => Object.fromEntries(Object.entries(agent.headers).filter(([name]) => !names.includes(name)));
const send = (message, { path = "/mcp/ops", method = "POST", headers = agent.headers } = {}) =>
  raw(home.agentsUrl + path, { method, headers, body: message === undefined ? undefined : typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message) });

/** Title, slug, what is sent. Every one of them carries the secret where it can. */
const BODIES = [
  ["an empty body", "not_json", () => ""],
  ["not JSON", "not_json", () => `{"jsonrpc":"2.0","id":1,"method":"tools/call","x":${SECRET}}`],
  ["a cut body", "not_json", () => JSON.stringify(call("set_secret", { name: "n", value: SECRET })).slice(0, -2)],
  ["two values in one body", "not_json", () => `${JSON.stringify(ping)}${JSON.stringify(call("set_secret", { value: SECRET }))}`],
  ["a byte order mark", "not_json", () => `\ufeff${JSON.stringify(ping)}`],
  ["a comment", "not_json", () => `/* ${SECRET} */${JSON.stringify(ping)}`],
  ["NaN", "not_json", () => '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"deploy","arguments":{"n":NaN}}}'],
  ["bytes that are not UTF-8", "not_json", () => Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":1,"method":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])],
  ["a lone surrogate", "not_json", () => '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"deploy","arguments":{"version":"\\ud800"}}}'],
  ["a member twice", "duplicate_key", () => '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_ticket","name":"deploy","arguments":{}}}'],
  ["an argument twice, once escaped", "duplicate_key", () => '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_ticket","arguments":{"id":"OPS-17","\\u0069d":"OPS-18"}}}'],
  ["a number that doubles lose", "number_inexact", () => '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_ticket","arguments":{"id":9007199254740993}}}'],
  ["a number without bounds", "number_inexact", () => '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_ticket","arguments":{"id":1e400}}}'],
  ["a batch", "batch_refused", () => [ping, call("deploy", { service: "x", version: "1", environment: "production" })]],
  ["an empty batch", "batch_refused", () => []],
  ["a text instead of a message", "request_invalid", () => JSON.stringify("ping")],
  ["null", "request_invalid", () => "null"],
  ["no version of JSON-RPC", "request_invalid", () => ({ id: 1, method: "ping" })],
  ["another version of JSON-RPC", "request_invalid", () => ({ ...ping, jsonrpc: "1.0" })],
  ["no method", "request_invalid", () => ({ jsonrpc: "2.0", id: 1, params: {} })],
  ["a null id", "request_invalid", () => ({ ...ping, id: null })],
  ["a fraction as id", "request_invalid", () => ({ ...ping, id: 1.5 })],
  ["true as id", "request_invalid", () => ({ ...ping, id: true })],
  ["an id of 300 letters", "request_invalid", () => ({ ...ping, id: "i".repeat(300) })],
  ["an id that doubles lose", "number_inexact", () => '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}'],
  ["an id twice", "duplicate_key", () => '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'],
  ["_meta that is a list", "request_invalid", () => ({ ...ping, params: { _meta: [SECRET] } })],
  ["a token for progress that is none", "request_invalid", () => call("get_ticket", { id: "OPS-17" }, { _meta: { progressToken: 1.5 } })],
  ["another session's revision in _meta", "version_unsupported", () => call("get_ticket", { id: "OPS-17" }, { _meta: { "io.modelcontextprotocol/protocolVersion": "2025-06-18" } })],
  ["the caller's key in _meta", "request_invalid", () => call("get_ticket", { id: "OPS-17" }, { _meta: { "x.y/authorization": `Bearer ${key}` } })],
  ["10,000 calls in one batch", "too_large", () => Array.from({ length: 10_000 }, (_, id) => ({ ...ping, id }))],
  ["an object as id", "request_invalid", () => ({ ...ping, id: { of: SECRET } })],
  ["params that are a list", "request_invalid", () => ({ ...ping, params: [SECRET] })],
  ["an unknown member beside the method", "request_invalid", () => ({ ...ping, extra: SECRET })],
  ["an answer nobody asked for", "request_invalid", () => ({ jsonrpc: "2.0", id: 1, result: { value: SECRET } })],
  ["65 levels", "too_large", () => `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":${nested(65)}}}`],
  ["100,000 levels", "too_large", () => `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":${nested(100_000)}}}`],
  ["5,000 members", "too_large", () => ({ ...ping, params: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, i])) })],
  ["a string of 300 KiB", "too_large", () => call("set_secret", { name: "n", value: SECRET.repeat(12_000) })],
  ["a body of 2 MiB", "too_large", () => JSON.stringify(ping) + " ".repeat(2 << 20)],
  ["an unknown method", "method_unknown", () => ({ ...ping, method: "tools/destroy" })],
  ["a method that is not let through", "method_unknown", () => ({ ...ping, method: "resources/read", params: { uri: `file:///${SECRET}` } })],
  ["a method in other letters", "method_unknown", () => ({ ...ping, method: "Tools/Call" })],
  ["an unknown tool", "tool_unknown", () => call("set_secrets", { name: "n", value: SECRET })],
  ["a tool of another upstream", "tool_unknown", () => call("dead/deploy", {})],
  ["a tool in other letters", "tool_unknown", () => call("DEPLOY", { service: "x", version: "1", environment: "production" })],
  ["a tool with a space behind it", "tool_unknown", () => call("deploy ", { service: "x", version: "1", environment: "production" })],
  ["an argument of the wrong type", "arguments_invalid", () => call("set_secret", { name: 7, value: SECRET })],
  ["an argument too few", "arguments_invalid", () => call("set_secret", { value: SECRET })],
  ["arguments that are a text", "arguments_invalid", () => call("set_secret", SECRET)],
  ["an invisible argument name", "not_canonical", () => call("get_ticket", { id: "OPS-17", "\u202evalue": SECRET })],
  ["stepup_run of no elevation", "arguments_invalid", () => call("stepup_run", {})],
  ["stepup_run of another thing", "arguments_invalid", () => call("stepup_run", { elevation: `elv_${SECRET}` })],
  ["stepup_run of a forged elevation", "elevation_unknown", () => call("stepup_run", { elevation: "elv_00000000000000000000000000" })],
  ["stepup_run with more than it takes", "arguments_invalid", () => call("stepup_run", { elevation: "elv_00000000000000000000000000", force: SECRET })],
  ["stepup_status with more than it takes", "arguments_invalid", () => call("stepup_status", { elevation: "elv_00000000000000000000000000", as: "alice" })],
  ["stepup_preflight of nothing", "arguments_invalid", () => call("stepup_preflight", {})],
  ["stepup_preflight with more than it takes", "arguments_invalid", () => call("stepup_preflight", { tool: "deploy", force: SECRET })],
  ["a cursor of nobody", "arguments_invalid", () => ({ ...ping, method: "tools/list", params: { cursor: `!${SECRET}` } })],
];

/** Title, slug, headers to change, and what else of the request. */
const REQUESTS = [
  ["no key", "no_credential", () => ({ headers: without("authorization") })],
  ["an unknown key", "credential_invalid", () => ({ headers: { ...agent.headers, authorization: "Bearer stepup_0000" } })],
  ["a key cut by one", "credential_invalid", () => ({ headers: { ...agent.headers, authorization: `Bearer ${key.slice(0, -1)}` } })],
  ["two keys", "credential_invalid", () => ({ headers: { ...agent.headers, authorization: [`Bearer ${key}`, `Bearer ${other}`] } })],
  ["a key by another scheme", "credential_invalid", () => ({ headers: { ...agent.headers, authorization: `Basic ${key}` } })],
  ["a key in the query", "no_credential", () => ({ headers: without("authorization"), path: `/mcp/ops?access_token=${key}` })],
  ["another host", "host_refused", () => ({ headers: { ...agent.headers, host: "evil.example" } })],
  ["the host that rebinding gives", "host_refused", () => ({ headers: { ...agent.headers, host: `localhost.evil:${new URL(home.agentsUrl).port}` } })],
  ["a web page", "origin_refused", () => ({ headers: { ...agent.headers, origin: "https://evil.example" } })],
  ["a sandboxed web page", "origin_refused", () => ({ headers: { ...agent.headers, origin: "null" } })],
  ["the people's own page", "origin_refused", () => ({ headers: { ...agent.headers, origin: home.peopleUrl } })],
  ["a form's media type", "media_type", () => ({ headers: { ...agent.headers, "content-type": "text/plain" } })],
  ["no media type", "media_type", () => ({ headers: without("content-type") })],
  ["a coded body", "media_type", () => ({ headers: { ...agent.headers, "content-encoding": "gzip" } })],
  ["another charset", "media_type", () => ({ headers: { ...agent.headers, "content-type": "application/json; charset=utf-16" } })],
  ["no stream accepted", "not_acceptable", () => ({ headers: { ...agent.headers, accept: "application/json" } })],
  ["another session's revision", "version_unsupported", () => ({ headers: { ...agent.headers, "mcp-protocol-version": "2025-06-18" } })],
  ["another revision", "version_unsupported", () => ({ headers: { ...agent.headers, "mcp-protocol-version": "1999-01-01" } })],
  ["no session", "session_required", () => ({ headers: without("mcp-session-id") })],
  ["a forged session", "session_unknown", () => ({ headers: { ...agent.headers, "mcp-session-id": "x".repeat(43) } })],
  ["another caller's session", "session_unknown", () => ({ headers: { ...agent.headers, "mcp-session-id": healthy.headers["mcp-session-id"] } })],
  ["a session at another upstream", "session_unknown", () => ({ path: "/mcp/dead" })],
  ["a header that says another method", "header_mismatch", () => ({ headers: { ...agent.headers, "mcp-method": "tools/call" } })],
  ["40 KiB of headers", "too_large", () => ({ headers: { ...agent.headers, ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x-${i}`, "y".repeat(2048)])) } })],
  ["an unknown upstream", "not_found", () => ({ path: "/mcp/nothing" })],
  ["an upstream by another path", "not_found", () => ({ path: "/mcp/ops/../ops/deploy" })],
  ["no address", "not_found", () => ({ path: "/" })],
  ["the console's address", "not_found", () => ({ path: "/r/elv_00000000000000000000000000" })],
  ["an address without a key", "no_credential", () => ({ path: "/mcp/nothing", headers: without("authorization") })],
  ["PUT", "method_not_allowed", () => ({ method: "PUT" })],
  ["GET, for the stream of another's session", "session_unknown", () => ({ method: "GET", headers: { ...agent.headers, "mcp-session-id": healthy.headers["mcp-session-id"], "last-event-id": "1" } })],
  ["GET, for a stream without a session", "session_required", () => ({ method: "GET", headers: without("mcp-session-id") })],
  ["GET, by who takes no stream", "not_acceptable", () => ({ method: "GET", headers: { ...agent.headers, accept: "application/json" } })],
  ["DELETE of another's session", "session_unknown", () => ({ method: "DELETE", headers: { ...agent.headers, "mcp-session-id": healthy.headers["mcp-session-id"] } })],
  ["an elevation of nobody", "elevation_unknown", () => ({ method: "GET", path: "/v1/elevations/elv_00000000000000000000000000" })],
  ["an elevation that is none", "elevation_unknown", () => ({ method: "GET", path: "/v1/elevations/..%2f..%2fetc" })],
];

/** Whatever came before: the other caller is served, and the server is the same process. */
async function assertHealthy() {
  const result = await healthy.call("get_ticket", { id: "OPS-17" });
  assert.equal(result.structuredContent.id, "OPS-17");
  assert.ok(home.alive);
}

const reached = () => arrivals(home.arrivals).filter(({ tool }) => tool !== "get_ticket").length;

describe("a body", () => {
  for (const [title, slug, body] of BODIES) {
    test(`${title}: ${slug}`, async () => {
      assertRefused(await send(body()), slug);
      await assertHealthy();
    });
  }
});

describe("a request", () => {
  for (const [title, slug, change] of REQUESTS) {
    test(`${title}: ${slug}`, async () => {
      const { path, method = "POST", headers } = change();
      assertRefused(await send(method === "GET" ? undefined : ping, { path, method, headers }), slug);
      await assertHealthy();
    });
  }
});

describe("bytes that are no HTTP", () => {
  const { Z } = { Z: "\0" };
  const ROWS = [
    ["noise", () => `${Z}\xff\x16\x03\x01 noise\r\n\r\n`],
    ["a request without end", () => "POST /mcp/ops HTTP/1.1\r\nhost: x\r\n"],
    ["two lengths", () => "POST /mcp/ops HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"],
    ["a length and chunks", () => "POST /mcp/ops HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"],
    ["a chunk that lies", () => `POST /mcp/ops HTTP/1.1\r\nhost: ${new URL(home.agentsUrl).host}\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\naccept: */*\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{`],
    ["1,000 headers", () => `GET / HTTP/1.1\r\nhost: x\r\n${Array.from({ length: 1000 }, (_, i) => `x-${i}: y\r\n`).join("")}\r\n`],
    ["a header of 1 MiB", () => `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(1 << 20)}\r\n\r\n`],
    ["a length of a terabyte", () => `POST /mcp/ops HTTP/1.1\r\nhost: ${new URL(home.agentsUrl).host}\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\naccept: */*\r\ncontent-length: 1099511627776\r\n\r\n${"x".repeat(2 << 20)}`],
    ["a tunnel", () => "CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n"],
    ["the preface of HTTP/2", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a header with a line feed", () => "GET / HTTP/1.1\r\nhost: x\r\nx: a\n b\r\n\r\n"],
  ];
  for (const [title, bytes] of ROWS) {
    test(`${title}: refused or dropped`, async () => {
      const { port } = new URL(home.agentsUrl);
      const said = await new Promise((done) => {
        let heard = "";
        const socket = net.connect(Number(port), "127.0.0.1", () => socket.end(bytes(), "latin1"));
        socket.setTimeout(3000, () => socket.destroy());
        socket.on("data", (data) => { heard += data; });
        socket.on("error", () => {});
        socket.on("close", () => done(heard));
      });
      assert.ok(said === "" || /^HTTP\/1\.1 4\d\d /.test(said), said.slice(0, 200));
      await assertHealthy();
    });
  }
});

describe("a caller", () => {
  test("cannot look at, run, feed or take back another caller's request", async () => {
    const { elevation } = challenge(await agent.call("deploy", { service: "checkout", version: "1.0", environment: "production" }));
    const path = `/v1/elevations/${elevation}`;
    const headers = healthy.headers;
    assertRefused(await send(undefined, { path, method: "GET", headers }), "elevation_unknown");
    assertRefused(await send({ purpose: "mine" }, { path, headers }), "elevation_unknown");
    assertRefused(await send(undefined, { path, method: "DELETE", headers }), "elevation_unknown");
    assertRefused(await healthy.post(call("stepup_run", { elevation })), "elevation_unknown");
    assert.equal((await home.pending()).length, 1);
    const taken = await send(undefined, { path, method: "DELETE", headers: agent.headers });
    assert.equal(taken.status, 204);
    assert.equal((await home.pending()).length, 0);
  });

  test("cannot seal an argument itself, nor choose the policy's types", async () => {
    const sealed = { $sealed: "AAAA", len: 4 };
    for (const args of [{ name: "n", value: sealed }, { name: sealed, value: SECRET }]) {
      assertRefused(await agent.post(call("set_secret", args)), "arguments_invalid");
    }
    const forged = { service: "x", version: "1", environment: { __entity: { type: "Group", id: "ops-agents" } } };
    assertRefused(await agent.post(call("deploy", forged)), "arguments_invalid");
  });

  test("with too many requests that wait is told so, and the others are not stopped", async () => {
    const answers = [];
    for (let n = 0; n <= 20; n += 1) {
      answers.push(await agent.post(call("deploy", { service: "checkout", version: `1.${n}`, environment: "production" })));
    }
    for (const answer of answers.slice(0, 20)) assert.ok(challenge(read(answer).result));
    assertRefused(answers[20], "over_budget");
    assert.equal((await home.pending()).length, 20);
    const stopped = await healthy.call("deploy", { service: "checkout", version: "1", environment: "production" });
    assert.ok(challenge(stopped), "the other caller's request is opened");
    for (const { request } of await home.pending()) await home.cli("requests", "withdraw", request);
  });

  test("is told that an upstream is dead, and that nothing ran", async () => {
    const lost = await Agent.open(home, "dead", key);
    const told = await lost.post(call("anything", {}));
    assert.equal(refusal(read(told).result).slug, "upstream_unreachable");
    assert.match(told.text, /the call did not run/);
    await assertHealthy();
  });

  test("whose key was rotated away or who was disabled is nobody", async () => {
    const gone = await home.caller("gone");
    const before = await Agent.open(home, "ops", gone);
    assert.ok(await before.call("get_ticket", { id: "OPS-17" }));
    await home.cli("caller", "disable", "gone");
    assertRefused(await before.post(call("get_ticket", { id: "OPS-17" })), "credential_invalid");
  });
});

test("nothing of all that arrived upstream", () => {
  assert.equal(reached(), 0);
});

test("a secret argument reaches the upstream and is written nowhere else", async () => {
  const args = { name: "mail", value: SECRET };
  const { elevation } = challenge(await agent.call("set_secret", args));
  const post = await send({ purpose: "rotation is due" }, { path: `/v1/elevations/${elevation}` });
  assert.equal(post.status, 200);
  await alice.approve(elevation);
  assert.deepEqual((await agent.call("set_secret", args)).structuredContent, { set: "mail" });
  assert.equal(reached(), 1);
});

test("told to stop, the server answers who waits, takes nothing new, and ends well", async () => {
  const stopped = { service: "checkout", version: "3.0", environment: "production" };
  assert.ok(challenge(await agent.call("deploy", stopped)));
  const held = agent.call("deploy", stopped);
  await new Promise((done) => setTimeout(done, 500));
  const begin = Date.now();
  home.process.kill("SIGTERM");
  assert.ok(challenge(await held) ?? refusal(await held), "who waits is answered");
  assert.deepEqual(await home.ended, { code: 0, signal: null });
  assert.ok(Date.now() - begin < 12_000);
});

test("the checker agrees, no canary is in any output, and nothing panicked", async () => {
  const report = await home.judge({ canaries: [SECRET, key, other] });
  assert.ok(report.permits > 0);
  assert.ok(!/panick/i.test(home.said()), "a panic");
  await home.serve();
  await until("the server after its restart", async () => (await home.operations("/healthz")).status === 200);
  const again = await Agent.open(home, "ops", key);
  assert.ok(challenge(await again.call("deploy", { service: "checkout", version: "3.0", environment: "production" })), "what waited still waits");
});
