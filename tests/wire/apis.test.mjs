// HTTP APIs behind the real binary, as docs/http.md says it: the routes are configured, one header and one address change.
import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Home, until } from "../lib/home.mjs";

const RULES = `
@id("export") @stepup("release-approval")
forbid (principal, action == Action::"http/GET:crm/export", resource)
unless { context.arguments.query has limit && context.arguments.query.limit <= 10 };
@id("rotate") @stepup("release-approval")
forbid (principal, action == Action::"http/POST:crm/rotate", resource);
@id("no-drop") forbid (principal, action in Action::"http/DELETE", resource);
`;

const routes = (port) => `
[upstreams.crm]
url = "http://127.0.0.1:${port}/api"
environment = "production"
credential = { env = "CRM_TOKEN" }

[upstreams.crm.routes.health]
on = "GET /health"

[upstreams.crm.routes.export]
on = "GET /customers/export"
query = { limit = "integer?", format = { enum = ["csv", "json"], type = "string", optional = true } }
title = "Export customers"

[upstreams.crm.routes.rotate]
on = "POST /keys/{name}/rotate"
json = { reason = "string", keep = "boolean?" }
headers = { idempotency-key = "string?" }

[upstreams.crm.routes.drop]
on = "DELETE /customers/{id}"
path = { id = "integer" }
`;

const SHOP = `
openapi: 3.0.3
info: { title: shop, version: "1" }
paths:
  /orders/{id}:
    get:
      operationId: look
      parameters:
        - { name: id, in: path, required: true, schema: { type: integer } }
  /orders:
    post:
      operationId: order
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/order" } } }
components:
  schemas:
    order: { type: object, required: [what], additionalProperties: false, properties: { what: { type: string, description: "a thing" } } }
`;

/** A request as an upstream reads it, in the form that the checker reads: another reading than ours, by Node's own URL. */
function read({ line, body }) {
  const [method, target] = line.split(" ");
  const { pathname, searchParams } = new URL(target, "http://upstream");
  const query = Object.fromEntries([...searchParams].map(([name, value]) => [name, name === "limit" ? Number(value) : value]));
  const [, name] = /^\/api\/keys\/([^/]+)\/rotate$/.exec(pathname) ?? [];
  const routes = {
    "GET /api/health": ["health", {}],
    "GET /api/customers/export": ["export", { query }],
    "GET /api/orders/7": ["look", { path: { id: 7 } }],
    "POST /api/orders": ["order", { body: body && JSON.parse(body) }],
    [`POST /api/keys/${name}/rotate`]: ["rotate", { path: { name: decodeURIComponent(name) }, headers: {}, body: body && JSON.parse(body) }],
  };
  const [route, args] = routes[`${method} ${pathname}`] ?? [line, {}];
  return { at: Date.now(), tool: `${pathname.startsWith("/api/orders") ? "shop" : "crm"}/${route}`, arguments: args };
}

describe("an HTTP API", () => {
  let home, ann, server, key;
  const arrived = [];
  const ask = (path, { method = "GET", headers = {}, body } = {}) => fetch(`${home.agentsUrl}/http/crm${path}`, {
    method, body, redirect: "manual", headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }), ...headers },
  }).then(async (answer) => {
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, json: /json/.test(answer.headers.get("content-type")) ? JSON.parse(text) : undefined };
  });

  before(async () => {
    server = http.createServer((request, response) => {
      const parts = [];
      request.on("data", (part) => parts.push(part)).on("end", () => {
        const one = { line: `${request.method} ${request.url}`, headers: request.headers, body: Buffer.concat(parts).toString() };
        arrived.push(one);
        appendFileSync(home.arrivals, `${JSON.stringify(read(one))}\n`);
        response.setHeader("content-type", "application/json");
        if (request.url.startsWith("/api/customers/export")) {
          response.write("[");
          setTimeout(() => response.end('{"id":1}]'), 20);
        } else response.end('{"ok":true}');
      });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    home = await Home.make();
    home.edit(/$/, routes(server.address().port));
    writeFileSync(join(home.folder, "shop.yaml"), SHOP);
    home.edit(/$/, `
[upstreams.shop]
url = "http://127.0.0.1:${server.address().port}/api"
environment = "test"
openapi = "shop.yaml"
[upstreams.shop.routes.order]
title = "Order {/body/what}"
`);
    home.permitEverything(RULES);
    await home.serve({ env: { CRM_TOKEN: "crm-credential" } });
    ann = await home.person("ann", "release-managers");
    key = await home.caller("exporter");
  });

  after(async () => {
    await home?.remove();
    server?.close();
  });

  test("a request along a route arrives with our credential, and without what nobody judged", async () => {
    const answer = await ask("/health", { headers: { cookie: "a=1", "x-forwarded-user": "root", "x-http-method-override": "DELETE" } });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("stepup-attempt"), /^att_/);
    const [{ line, headers }] = arrived.splice(0);
    assert.equal(line, "GET /api/health");
    assert.equal(headers.authorization, "Bearer crm-credential");
    assert.deepEqual(Object.keys(headers).sort(), ["accept", "accept-encoding", "accept-language", "authorization", "host", "user-agent"]
      .filter((name) => name !== "accept-language" || headers["accept-language"]));
  });

  test("ten rows at baseline, the table after an approval that names it", async () => {
    assert.equal((await ask("/customers/export?limit=10&format=csv")).status, 200);
    const stopped = await ask("/customers/export?format=csv");
    assert.equal(stopped.status, 401);
    assert.equal(stopped.headers.get("content-type"), "application/problem+json");
    const { elevation, status_url } = stopped.json;
    const { text: card } = await ann.page(`/r/${elevation}`);
    assert.match(card, /Export customers/);
    assert.match(card, /format/);
    const status = () => fetch(status_url, { headers: { authorization: `Bearer ${key}` } }).then((answer) => answer.json());
    assert.equal((await status()).state, "pending");
    const waits = ask("/customers/export?format=csv", { headers: { prefer: "wait=30" } });
    await ann.approve(elevation);
    const exported = await waits;
    assert.deepEqual([exported.status, exported.json], [200, [{ id: 1 }]]);
    const again = await ask("/customers/export?format=csv");
    assert.ok([401, 409].includes(again.status), again.text);
    assert.deepEqual(arrived.splice(0).map(({ line }) => line), [
      "GET /api/customers/export?format=csv&limit=10", "GET /api/customers/export?format=csv",
    ]);
  });

  test("another target, another argument and another spelling are told apart", async () => {
    const body = '{"reason":"leaked","keep":false}';
    const stopped = await ask("/keys/a/rotate", { method: "POST", body });
    await ann.approve(stopped.json.elevation);
    for (const [path, other] of [["/keys/b/rotate", body], ["/keys/a/rotate", '{"reason":"leaked"}'], ["/keys/a/rotate", '{"reason":"leaked","keep":true}']]) {
      assert.equal((await ask(path, { method: "POST", body: other })).status, 401);
    }
    assert.equal((await ask("/keys/%61/rotate", { method: "POST", body: '{ "keep": false, "reason": "l\\u0065aked" }' })).status, 200);
    assert.deepEqual(arrived.splice(0).map(({ line, body: sent }) => [line, sent]), [["POST /api/keys/a/rotate", '{"keep":false,"reason":"leaked"}']]);
  });

  test("what no route is for is refused with a record, and nothing arrives", async () => {
    for (const [path, options, status] of [
      ["/nothing", {}, 404], ["/customers/1", { method: "DELETE" }, 403], ["/health?x=1", {}, 400],
      ["/customers/export?limit=ten", {}, 400], ["/health", { method: "POST", body: "{}" }, 404], ["/customers/x", { method: "DELETE" }, 400],
    ]) {
      const answer = await ask(path, options);
      assert.equal(answer.status, status, `${path}: ${answer.text}`);
      assert.match(answer.json.record, /^rec_/, path);
    }
    assert.deepEqual(arrived, []);
  });

  test("routes are listed, explained and part of the rules' schema", async () => {
    const { tools } = await home.cli("upstream", "list");
    assert.ok(tools.some(({ tool }) => tool === "crm/export"), JSON.stringify(tools));
    const { text: page } = await ann.page("/tools");
    const [, id] = /href="\/tools\/([^"]+)"/.exec(page.split("<li>").find((one) => />export</.test(one)) ?? page) ?? [];
    const { text: route } = await ann.page(`/tools/${id}`);
    assert.match(route, /as it is configured/);
    assert.match(route, /customers\/export/);
    const auditor = await home.person("ada", "auditors");
    assert.match((await auditor.page(`/explain?of=${id}`)).text, /selected[^>]*>[^<]*export \(route\)/);
    const explained = await home.cli("policy", "explain", "--caller", "exporter", "--send", "crm/export", "--arguments", '{"query":{}}');
    assert.match(JSON.stringify(explained), /release-approval/);
    const { stdout } = await home.saidBy("policy", "schema");
    assert.match(stdout, /http\/GET:crm\/export/);
    const checked = await home.saidBy("check");
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  });

  test("the operations of an OpenAPI document are routes", async () => {
    const order = (body) => fetch(`${home.agentsUrl}/http/shop/orders`, {
      method: "POST", body, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    });
    const look = (id) => fetch(`${home.agentsUrl}/http/shop/orders/${id}`, { headers: { authorization: `Bearer ${key}` } });
    assert.deepEqual([(await look(7)).status, (await look("x")).status], [200, 400]);
    assert.deepEqual([(await order('{"what":"tea"}')).status, (await order('{"what":7}')).status, (await order("{}")).status], [200, 400, 400]);
    assert.deepEqual(arrived.splice(0).map(({ line, body }) => [line, body]), [["GET /api/orders/7", ""], ["POST /api/orders", '{"what":"tea"}']]);
  });

  test("a changed route is another revision of the rules, and voids what was approved of it", async () => {
    const body = '{"reason":"moved"}';
    const stopped = await ask("/keys/a/rotate", { method: "POST", body });
    await ann.approve(stopped.json.elevation);
    const rules = JSON.parse((await home.operations("/readyz")).text).rules;
    home.edit('keep = "boolean?"', 'keep = "boolean?", force = "boolean?"');
    home.permitEverything(`${RULES}\n@id("another") forbid (principal, action in Action::"http/DELETE", resource);\n`);
    await until("the new revision", async () => JSON.parse((await home.operations("/readyz")).text).rules > rules, 3000)
      .catch(async (error) => assert.fail(`${error.message}: ${(await home.operations("/readyz")).text}`));
    const answer = await ask("/keys/a/rotate", { method: "POST", body });
    assert.equal(answer.status, 401, answer.text);
    assert.notEqual(answer.json.elevation, stopped.json.elevation);
    assert.deepEqual(arrived, []);
  });

  test("the log verifies, and the credential is nowhere", async () => {
    await home.judge({ canaries: ["crm-credential", key] });
  });
});
