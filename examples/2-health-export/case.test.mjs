// Health checks to exports and new keys, played whole: what README.md beside this file tells, and every misuse that it names.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { raw } from "../../tests/lib/agent.mjs";
import { Case, sleep } from "../lib/case.mjs";

const FIRST = "crm-first-key";
const WHY = { "stepup-purpose": "all that is kept of a customer", "stepup-ticket": "CASE-31" };
// The checks run on this machine: its own addresses are the network of the service, but for one of them.
const ELSEWHERE = "127.1.0.1";

describe("health → export", () => {
  let one, nora, sam;

  before(async () => {
    one = await Case.install(import.meta.dirname, "health-export", {
      people: { nora: "data-owners", sam: "security" },
      caller: { name: "health", kind: "service", owner: "dave", group: "health-services" },
      api: true,
      env: { CRM_KEY: FIRST },
      rules: (text) => text.replaceAll("10.20.", "127.0."),
      // A grant that is a second too old is one of the misuses; nobody waits a quarter of an hour for it.
      requirements: (text) => text.replace('valid_for = "15m"', 'valid_for = "2s"'),
    });
    ({ nora, sam } = one);
  });

  after(() => one?.remove());

  const send = (method, path, { body, headers = {}, key = one.key, from } = {}) => raw(`${one.home.agentsUrl}/http/crm${path}`, {
    method, body: body && JSON.stringify(body), from,
    headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }), ...headers },
  }).then(({ status, headers: told, text }) => ({ status, headers: told, text, json: text ? JSON.parse(text) : undefined }));
  const health = (more) => send("GET", "/health", more);
  const exports = (limit, more) => send("GET", `/customers${limit === undefined ? "" : `?limit=${limit}`}`, { headers: WHY, ...more });
  const rotate = (reason = "it is a year old", more) => send("POST", "/keys/rotate", { body: { reason }, ...more });
  const stopped = async (request) => {
    const { status, json } = await request;
    assert.equal(status, 401, JSON.stringify(json));
    assert.match(json.slug, /^(approval_required|grant_spent)$/);
    return json.elevation;
  };
  const slug = async (request) => (await request).json.slug;
  const refuses = (acts) => assert.rejects(acts, ({ status }) => status >= 400 && status < 500);
  const keys = () => one.rows("SELECT key FROM keys ORDER BY n").map(({ key }) => key);
  /** What the API itself says to whoever comes with this key. */
  const directly = (key) => fetch(`http://127.0.0.1:${one.api.port}/health`, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status);

  test("the rules do what their scenarios say", async () => {
    const { code, stdout, stderr } = await one.home.saidBy("policy", "test", "--strict");
    assert.equal(code, 0, stdout + stderr);
  });

  test("health is checked and ten customers are looked at, with nobody asked", async () => {
    assert.deepEqual((await health()).json, { customers: 40 });
    assert.equal((await exports(10)).json.customers.length, 10);
    assert.equal((await health({ from: ELSEWHERE })).status, 200);
    assert.equal((await one.home.pending()).length, 0);
  });

  test("the table takes the data owner, a reason and a case, and is exported once", async () => {
    const elevation = await stopped(exports());
    await nora.approve(elevation);
    assert.equal((await exports()).json.customers.length, 40);
    assert.notEqual(await stopped(exports()), elevation);
  });

  test("what was approved is this number of them: any other that is not ten is another request", async () => {
    const elevation = await stopped(exports(20));
    await nora.approve(elevation);
    for (const other of [21, 19, 11, 0, -1, undefined]) {
      assert.notEqual((await exports(other)).json.elevation ?? elevation, elevation, String(other));
    }
    assert.equal((await exports(20)).json.customers.length, 20);
    assert.equal(await slug(send("GET", "/customers?limit=10&limit=40")), "arguments_invalid");
    assert.equal(await slug(send("GET", "/customers?limit=1e3")), "arguments_invalid");
  });

  test("a token that leaked exports nothing and rotates nothing, approved or not", async () => {
    await nora.approve(await stopped(exports(30)));
    assert.equal(await slug(exports(30, { from: ELSEWHERE })), "policy_denied");
    assert.equal(await slug(exports(undefined, { from: ELSEWHERE })), "policy_denied");
    assert.equal(await slug(rotate("mine", { from: ELSEWHERE })), "policy_denied");
    assert.deepEqual(keys(), [FIRST]);
  });

  test("nobody exports for a service of their own", async () => {
    const noras = await one.home.caller("noras-service", { kind: "service", owner: "nora", groups: ["health-services"] });
    assert.equal(await slug(exports(12, { key: noras })), "nobody_may_approve");
  });

  test("an approval that is a second too old exports nothing", async () => {
    const elevation = await stopped(exports(25));
    await nora.approve(elevation);
    await sleep(3_000);
    const { status, json } = await exports(25);
    assert.deepEqual([status, json.slug], [401, "grant_expired"]);
    assert.notEqual(json.elevation, elevation);
  });

  test("a new key takes security, is in force at once, and its asker never sees it; the old one is dead", async () => {
    const elevation = await stopped(rotate());
    await refuses(nora.approve(elevation));
    await sam.approve(elevation);
    const answer = await rotate();
    assert.deepEqual([answer.status, answer.json], [200, { number: 2 }]);
    const [old, fresh] = keys();
    assert.ok(!JSON.stringify(answer.headers).includes(fresh));
    assert.deepEqual([await directly(old), await directly(fresh)], [401, 200]);
    assert.equal((await health()).status, 200, "which is what stepup has");
    assert.notEqual(await stopped(rotate()), elevation, "another one is another request");
  });

  test("it is there after a restart, and in no file that anybody could read it from", async () => {
    await one.home.stop("SIGKILL");
    await one.serve();
    for (const person of [nora, sam]) await person.signIn();
    assert.equal((await health()).status, 200);
  });

  test("an answer that says the key twice is withheld, and the key is in force", async () => {
    const reason = "one that is told twice";
    await sam.approve(await stopped(rotate(reason)));
    const { status, text, json } = await rotate(reason);
    assert.deepEqual([status, json.slug, json.outcome, json.credential], [502, "answer_withheld", "done", "in_force"]);
    assert.ok(!text.includes(keys().at(-1)));
    assert.equal((await health()).status, 200);
  });

  test("a key that is not told is nobody's: it is said, and what the operator configures is what counts", async () => {
    const reason = "one that is not told";
    await sam.approve(await stopped(rotate(reason)));
    const { json } = await rotate(reason);
    assert.deepEqual([json.slug, json.outcome, json.credential], ["answer_withheld", "done", "not_in_force"]);
    assert.equal(await slug(health()), "upstream_invalid", "the old one is dead, and the upstream says so to us, not to the service");
    await one.home.stop();
    one.env.CRM_KEY = keys().at(-1);
    await one.serve();
    for (const person of [nora, sam]) await person.signIn();
    assert.equal((await health()).status, 200);
  });

  test("a rule that came after the approval is what counts", async () => {
    await nora.approve(await stopped(exports(15)));
    await one.alsoRules('@id("freeze") forbid (principal, action == Action::"http/GET:crm/export", resource);');
    assert.equal(await slug(exports(15)), "policy_denied");
  });

  test("the log says all of it, verifies, and knows no key", async () => {
    await one.home.judge({ canaries: [one.key, ...keys()] });
    const { stdout } = await one.home.saidBy("log", "tail");
    const shown = await Promise.all(["/", "/history", "/callers", "/policies", "/tools"].map((page) => sam.page(page)));
    for (const text of [stdout, ...shown.map((page) => page.text)]) assert.ok(keys().every((key) => !text.includes(key)));
  });
});
