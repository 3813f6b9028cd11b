// The configurations of examples/proxies, in the real nginx and the real Caddy, before a real API.
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
json = { amount = "number" }
[upstreams.crm.routes.customer]
on = "GET /customers/{id}"
`;
const RULES = `
@id("export") @stepup("release-approval")
forbid (principal, action == Action::"http/GET:crm/export", resource)
unless { context.arguments.query has limit && context.arguments.query.limit <= 10 };
`;

const PROXIES = {
  nginx: { file: "nginx.conf", listens: "127.0.0.1:8080", run: (file, folder) => ["nginx", ["-p", folder, "-c", file, "-e", "stderr"]] },
  Caddy: { file: "Caddyfile", listens: "127.0.0.1:8081", run: (file) => ["caddy", ["run", "--config", file, "--adapter", "caddyfile"]] },
};

let home, ann, key, api, apiPort;
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
  apiPort = api.address().port;
  home = await Home.make();
  home.edit(/$/, ROUTES);
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

for (const [name, { file, listens, run }] of Object.entries(PROXIES)) {
  describe(`behind ${name}`, () => {
    let proxy, port;

    before(async () => {
      port = await freePort();
      const folder = join(home.root, name);
      mkdirSync(folder);
      const text = readFileSync(join(EXAMPLES, file), "utf8")
        .replaceAll(listens, `127.0.0.1:${port}`)
        .replaceAll("127.0.0.1:7300", new URL(home.agentsUrl).host)
        .replaceAll("127.0.0.1:9000", `127.0.0.1:${apiPort}`);
      const at = join(folder, file);
      writeFileSync(at, text);
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
      const path = `/customers/export?limit=${name === "nginx" ? 50 : 60}`;
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
        ["/transfers", { method: "POST", body: '{"amount":1}', headers: { "content-type": "application/json" } }],
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

test("when stepup is not there, nothing passes", { timeout: 30_000 }, async () => {
  // Last: each proxy above has ended with its suite, so this one is started anew.
  const port = await freePort();
  const folder = join(home.root, "alone");
  mkdirSync(folder);
  const dead = await freePort();
  const text = readFileSync(join(EXAMPLES, "nginx.conf"), "utf8")
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`).replaceAll("127.0.0.1:7300", `127.0.0.1:${dead}`).replaceAll("127.0.0.1:9000", `127.0.0.1:${apiPort}`);
  writeFileSync(join(folder, "nginx.conf"), text);
  const proxy = spawn("nginx", ["-p", `${folder}/`, "-c", join(folder, "nginx.conf"), "-e", "stderr"], { stdio: "ignore" });
  const answer = await until("nginx", () => ask(port, "/health").catch(() => false));
  assert.equal(answer.status, 500);
  assert.deepEqual(arrived, []);
  proxy.kill("SIGTERM");
});
