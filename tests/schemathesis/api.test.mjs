// schemathesis asks for everything that an OpenAPI document allows, and for what it does not: an HTTP API through stepup, and stepup itself. What
// fits is taken, what does not is refused, and nothing of it is a fault of ours. How much of it: STEPUP_EXAMPLES, for each operation.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { Home } from "../lib/home.mjs";

const HERE = import.meta.dirname;
const EXAMPLES = process.env.STEPUP_EXAMPLES ?? "25";
const TAKEN = "positive_data_acceptance";
const REFUSED = "negative_data_rejection";

let home, key, api;
const arrived = new Set();

before(async () => {
  // It takes whatever comes: what is refused, stepup has refused.
  api = http.createServer((request, response) => {
    arrived.add(`${request.method} ${request.url.split(/[/?]/)[2]}`);
    request.resume().on("end", () => response.setHeader("content-type", "application/json").end("{}"));
  });
  await new Promise((done) => api.listen(0, "127.0.0.1", done));
  home = await Home.make({ challenge: { preflights_per_minute: 6000 } });
  copyFileSync(join(HERE, "api.yaml"), join(home.folder, "shop.yaml"));
  home.edit(/$/, `
[upstreams.shop]
url = "http://127.0.0.1:${api.address().port}/api"
environment = "test"
openapi = "shop.yaml"
[upstreams.todo]
environment = "test"
askers = ["shopper"]
[upstreams.todo.operations.purge]
on = "todo"
[upstreams.todo.operations.sell]
on = "todo"
`);
  home.permitEverything(`@id("sell") @stepup("release-approval") forbid (principal, action == Action::"do:todo/sell", resource);`);
  await home.serve();
  await home.person("ann", "release-managers");
  key = await home.caller("shopper");
});

after(async () => {
  await home?.remove();
  api?.close();
});

/** What schemathesis says, whose exit code is that of its findings. One worker: two share Python's parser, which does not take that. */
const ask = (document, url, checks, words = []) => new Promise((done, failed) => {
  const all = ["-m", "schemathesis.cli", "run", document, "--url", url, "-H", `Authorization: Bearer ${key}`, "--checks", ["not_a_server_error", ...checks].join(","),
    "-n", EXAMPLES, "--seed", "1", "-w", "1", "--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--continue-on-failure", ...words];
  const child = spawn(join(HERE, ".venv/bin/python"), all, { cwd: home.root, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => { said += part; });
  child.once("error", failed).once("exit", (code) => done({ code, said }));
});

test("an API behind stepup is asked for what its document allows, and for nothing else", { timeout: 3_600_000 }, async () => {
  const { code, said } = await ask(join(HERE, "api.yaml"), `${home.agentsUrl}/http/shop`, [TAKEN, REFUSED]);
  assert.equal(code, 0, said);
  assert.match(said, /Tested: 8/, said);
  assert.deepEqual([...arrived].sort(), ["DELETE orders", "GET health", "GET orders", "PATCH orders", "POST notes", "POST orders", "PUT files"].sort(), "each route was reached");
});

/** Asks for an operation: its attempt, or the request that was opened for it. */
const permit = async (operation) => {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(`${home.agentsUrl}/v1/permits`, { method: "POST", headers, body: JSON.stringify({ operation, id: "list-1" }) });
  return answer.json();
};

test("stepup itself is what its document says, in what it takes and in what it answers", { timeout: 3_600_000 }, async () => {
  const [{ attempt }, { elevation }] = [await permit("todo/purge"), await permit("todo/sell")];
  assert.ok(attempt && elevation, JSON.stringify([attempt, elevation]));
  const whole = readFileSync(resolve(HERE, "../../docs/openapi.yaml"), "utf8")
    .replace(/example: att_\w+/, `example: ${attempt}`).replace(/example: elv_\w+/, `example: ${elevation}`).replaceAll("example: rick", "example: shopper");
  // What may be said beyond what is named is a text here: no schema can say that a number has to be one that every reader reads alike, nor
  // how many bytes a text has; and nobody waits for people.
  const tame = whole.replace(/( +)(Properties: \{ type: object)/, "$1$2, additionalProperties: { type: string }")
    .replaceAll(/^( +)(required: \[(type, id|name|subject, action, resource|evaluations)\])$/gm, "$1$2\n$1additionalProperties: { type: string }")
    .replaceAll('pattern: "\\\\S"', 'pattern: "\\\\S", maxLength: 40').replace("maximum: 9999", "maximum: 0")
    .replace("items: {}", 'items: { $ref: "#/components/schemas/Evaluation" }')
    // What is taken back takes no more words, and a name of something done once is refused for anything else.
    .replace(/^      parameters:\n.*name: idempotency-key.*\n/m, "").replace(/^    delete:\n(      .*\n)+/m, "");
  const conforms = ["status_code_conformance", "content_type_conformance", "response_schema_conformance", "unsupported_method", "ignored_auth"];
  for (const [mode, check, text, operations] of [["positive", TAKEN, tame, 7], ["negative", REFUSED, whole, 8]]) {
    const document = join(home.root, `${mode}.yaml`);
    writeFileSync(document, text);
    const { code, said } = await ask(document, home.agentsUrl, [check, ...conforms], ["--mode", mode]);
    assert.equal(code, 0, said);
    assert.match(said, new RegExp(`Tested: ${operations}`), said);
  }
});
