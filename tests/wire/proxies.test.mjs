// The configurations of examples/proxies, in the real nginx, the real Caddy and the real Envoy, before a real API.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { Home, TESTS, freePort, sleep, until } from "../lib/home.mjs";

const EXAMPLES = resolve(TESTS, "../examples/proxies");
const ROUTES = `
[upstreams.crm]
asked_by = ["127.0.0.1"]
environment = "production"
[upstreams.crm.routes.health]
on = "GET /health"
[upstreams.crm.routes.export]
on = "GET /customers/export"
query = { limit = "integer?" }
[upstreams.crm.routes.transfer]
on = "POST /transfers"
json = { amount = "integer" }
headers = { x-reason = "string?" }
[upstreams.crm.routes.customer]
on = "GET /customers/{id}"
`;
const RULES = `
@id("export") @stepup("release-approval")
forbid (principal, action == Action::"http/GET:crm/export", resource)
unless { context.arguments.query has limit && context.arguments.query.limit <= 10 };
@id("transfer") @stepup("release-approval")
forbid (principal, action == Action::"http/POST:crm/transfer", resource)
unless { context.arguments.body.amount <= 10 };
`;

const envoy = (file) => [process.env.STEPUP_PYTHON, ["-m", "envoy._main", "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "error"]];

// `limit`: what is exported through it, so that no two ask for the same; `shows`: whether it passes content on to whom it asks.
const PROXIES = {
  nginx: { file: "nginx.conf", listens: "127.0.0.1:8080", limit: 50, run: (file, folder) => ["nginx", ["-p", folder, "-c", file, "-e", "stderr"]] },
  Caddy: { file: "Caddyfile", listens: "127.0.0.1:8081", limit: 60, run: (file) => ["caddy", ["run", "--config", file, "--adapter", "caddyfile"]] },
  "Envoy over gRPC": { file: "envoy.yaml", listens: "port_value: 8082", limit: 70, run: envoy, shows: true },
  "Envoy over HTTP": { file: "envoy-http.yaml", listens: "port_value: 8083", limit: 80, run: envoy, shows: true },
};

/** A configuration with other ports: its own, stepup's, and the API's. */
const moved = ({ file, listens }, own, { agents, grpc, api }) => {
  const to = (from, port) => [[`127.0.0.1:${from}`, `127.0.0.1:${port}`], [`port_value: ${from}`, `port_value: ${port}`]];
  const all = [[listens, listens.replace(/\d+$/, own)], ...to(7300, agents), ...to(7303, grpc), ...to(9000, api)];
  return all.reduce((text, [from, port]) => text.replaceAll(from, port), readFileSync(join(EXAMPLES, file), "utf8"));
};

let home, ann, key, api, ports;
const arrived = [];

before(async () => {
  api = http.createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; }).on("end", () => {
      arrived.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
      response.end("the api");
    });
  });
  await new Promise((done) => api.listen(0, "127.0.0.1", done));
  home = await Home.make();
  ports = { agents: new URL(home.agentsUrl).port, grpc: await freePort(), api: api.address().port };
  home.edit(/$/, `\n[envoy]\nlisten = "127.0.0.1:${ports.grpc}"\n${ROUTES}`);
  home.permitEverything(RULES);
  await home.serve();
  ann = await home.person("ann", "release-managers");
  key = await home.caller("exporter");
});

after(async () => {
  await home?.remove();
  api?.close();
});

/** A request that is written as it is: `fetch` would tidy its path. */
const ask = (port, path, { method = "GET", headers = {}, body } = {}) => new Promise((done, failed) => {
  const request = http.request({ host: "127.0.0.1", port, path, method, headers: { authorization: `Bearer ${key}`, ...headers } }, (answer) => {
    let text = "";
    answer.on("data", (part) => { text += part; }).on("end", () => done({ status: answer.statusCode, headers: answer.headers, text }));
  });
  request.once("error", failed).end(body);
});

for (const [name, proxied] of Object.entries(PROXIES)) {
  describe(`behind ${name}`, () => {
    const { file, run, limit, shows } = proxied;
    let proxy, port;

    before(async () => {
      port = await freePort();
      const folder = join(home.root, name);
      mkdirSync(folder);
      const at = join(folder, file);
      writeFileSync(at, moved(proxied, port, ports));
      const [command, words] = run(at, `${folder}/`);
      proxy = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: folder } });
      let said = "";
      proxy.stderr.on("data", (part) => { said += part; });
      await until(`${name} to listen: ${said}`, () => ask(port, "/none").then(() => true, () => {
        assert.equal(proxy.exitCode, null, said);
        return false;
      }));
      arrived.length = 0;
    });

    after(async () => {
      proxy?.kill("SIGTERM");
      await sleep(50);
    });

    test("what policy permits passes, with our attempt and the API's credential instead of the key", async () => {
      const answer = await ask(port, "/health", { headers: { "stepup-attempt": "forged" } });
      assert.deepEqual([answer.status, answer.text], [200, "the api"]);
      const [{ line, headers }] = arrived.splice(0);
      assert.equal(line, "GET /health");
      assert.match(headers["stepup-attempt"], /^att_/);
      assert.equal(headers.authorization, "Bearer the-credential-of-the-api");
    });

    test("what takes approval is stopped with where to ask, and passes once after it", async () => {
      const path = `/customers/export?limit=${limit}`;
      const stopped = await ask(port, path);
      assert.equal(stopped.status, 401, stopped.text);
      assert.match(stopped.headers["www-authenticate"], /insufficient_authorization/);
      const problem = JSON.parse(stopped.text);
      assert.equal(problem.slug, "approval_required");
      await ann.approve(problem.link.split("/r/")[1]);
      assert.equal((await ask(port, path.replace(/0$/, "1"))).status, 401);
      assert.deepEqual(arrived, []);
      assert.equal((await ask(port, path)).status, 200);
      assert.equal((await ask(port, path)).status, 401, "its one use is gone");
      assert.deepEqual(arrived.splice(0).map(({ line }) => line), [`GET ${path}`]);
    });

    test("nothing passes that the API could read in another way, and nothing with content that was not shown", async () => {
      for (const [path, options] of [
        ["/%68ealth", {}], ["//health", {}], ["/customers/..%2fhealth", {}], ["/customers/../health", {}], ["/customers/a;b", {}], ["/nothing", {}],
        ["/health", { headers: { "x-http-method-override": "DELETE" } }],
        ...shows ? [] : [["/transfers", { method: "POST", body: '{"amount":1}', headers: { "content-type": "application/json" } }]],
        ["/health", { headers: { authorization: "Bearer stepup_wrong" } }],
      ]) {
        const answer = await ask(port, path, options);
        assert.ok([400, 401, 403, 404, 415].includes(answer.status), `${path}: ${answer.status} ${answer.text}`);
      }
      assert.deepEqual(arrived, []);
    });

    test("content that a route does not take reaches the API by no way", async () => {
      for (const headers of [{ "content-length": "7" }, { "transfer-encoding": "chunked" }]) {
        const answer = await ask(port, "/health", { headers: { "content-type": "application/json", ...headers }, body: '{"a":1}' });
        const came = arrived.splice(0);
        assert.deepEqual(came.map(({ body }) => body).join(""), "", `${JSON.stringify(headers)}: ${answer.status}`);
        assert.ok(answer.status === 200 ? came.length === 1 : came.length === 0);
      }
    });

    if (shows) test("content that is shown is judged, and only as it is shown does it reach the API", async () => {
      const transfer = (body, headers = {}) => ask(port, "/transfers", { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
      for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
        const passed = await transfer('{"amount": 5}', headers);
        assert.equal(passed.status, 200, passed.text);
        assert.deepEqual(arrived.splice(0).map(({ body }) => body), ['{"amount": 5}']);
      }
      for (const [body, headers, status, slug] of [
        ['{"amount":50}', {}, 401, "approval_required"], ['{"amount":"5"}', {}, 400, "arguments_invalid"], ['{"amount":5,"to":"x"}', {}, 400, "arguments_invalid"],
        ['{"amount":5,"amount":50}', {}, 400, "duplicate_key"], ["", {}, 403, "argument_unjudgeable"], ['{"amount":5}', { "content-type": "text/plain" }, 415, "media_type"],
        [`{"amount":5${" ".repeat(2 << 20)}}`, {}, 413],
      ]) {
        const answer = await transfer(body, headers);
        assert.equal(answer.status, status, `${body.slice(0, 40)}: ${answer.text}`);
        if (slug) assert.equal(JSON.parse(answer.text).slug, slug, body.slice(0, 40));
      }
      assert.deepEqual(arrived, []);
    });

    test("nothing becomes another protocol, in which more could be said than was judged", async () => {
      const answer = await ask(port, "/health", { headers: { connection: "Upgrade", upgrade: "h2c" } });
      const upgrades = arrived.splice(0).filter(({ headers }) => headers.upgrade);
      assert.deepEqual(upgrades, [], `${answer.status}`);
    });

    test("what a caller says of proxies is not believed", async () => {
      const headers = { "x-original-uri": "/health", "x-original-method": "GET", "x-forwarded-uri": "/health", "x-forwarded-method": "GET" };
      const answer = await ask(port, "/nothing", { headers });
      assert.ok([400, 403, 404].includes(answer.status), answer.text);
      assert.deepEqual(arrived, []);
    });
  });
}

for (const [name, status] of [["nginx", 500], ["Envoy over gRPC", 503], ["Envoy over HTTP", 503]]) {
  test(`when stepup is not there, nothing passes ${name}`, { timeout: 30_000 }, async () => {
    // Last: each proxy above has ended with its suite, so this one is started anew.
    const port = await freePort();
    const folder = join(home.root, `${name} alone`);
    mkdirSync(folder);
    const dead = await freePort();
    const at = join(folder, PROXIES[name].file);
    writeFileSync(at, moved(PROXIES[name], port, { ...ports, agents: dead, grpc: dead }));
    const [command, words] = PROXIES[name].run(at, `${folder}/`);
    const proxy = spawn(command, words, { stdio: "ignore" });
    const answer = await until(name, () => ask(port, "/health").catch(() => false));
    assert.equal(answer.status, status);
    assert.deepEqual(arrived, []);
    proxy.kill("SIGTERM");
  });
}

test("what stepup refuses does not pass an Envoy that lets errors pass", { timeout: 30_000 }, async () => {
  const port = await freePort();
  const folder = join(home.root, "open");
  mkdirSync(folder);
  const at = join(folder, "envoy.yaml");
  const closed = moved(PROXIES["Envoy over gRPC"], port, ports);
  const open = closed.replace("failure_mode_allow: false", "failure_mode_allow: true").replace("max_request_bytes: 1048576", "max_request_bytes: 8388608");
  assert.notEqual(open, closed);
  writeFileSync(at, open);
  const [command, words] = envoy(at);
  const proxy = spawn(command, words, { stdio: "ignore" });
  await until("Envoy", () => ask(port, "/nothing").catch(() => false));
  const body = { method: "POST", headers: { "content-type": "application/json" } };
  for (const [status, path, options] of [
    [401, "/health", { headers: { authorization: "Bearer wrong" } }],
    [404, "/nothing", {}],
    [413, "/health", { headers: { "x-long": "x".repeat(40_000) } }],
    [413, "/transfers", { ...body, body: `{"amount":5${" ".repeat(3 << 20)}}` }],
    [400, "/health", { headers: { "x-http-method-override": "DELETE" } }],
  ]) {
    assert.equal((await ask(port, path, options)).status, status, path);
  }
  assert.deepEqual(arrived, []);
  proxy.kill("SIGTERM");
});
