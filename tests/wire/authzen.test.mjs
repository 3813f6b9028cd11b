// An application that asks the real binary, as docs/authzen.md says it: its operations are configured, and it does them itself.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Home } from "../lib/home.mjs";

const CONFIGURED = `
[upstreams.todo]
environment = "production"
askers = ["todo-backend"]
subjects = { "id-of-rick" = "rick" }
[upstreams.todo.operations.can_update_todo]
on = "todo"
resource = { ownerID = "string?" }
[upstreams.todo.operations.purge]
on = "todo"
`;
const RULES = `
@id("purge") @stepup("release-approval") forbid (principal, action == Action::"do:todo/purge", resource);
@id("own") forbid (principal, action == Action::"do:todo/can_update_todo", resource)
unless { context.arguments.resource has ownerID && context.arguments.resource.ownerID == principal.owner };
`;

describe("an application that asks", () => {
  let home, ann, backend, stranger;
  const send = (path, { method = "POST", body, key = backend } = {}) => fetch(`${home.agentsUrl}${path}`, {
    method, body: body && JSON.stringify(body), headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }) },
  }).then(async (answer) => ({ status: answer.status, json: await answer.json() }));
  const question = (action, id, properties = {}, subject = "id-of-rick") =>
    ({ subject: { type: "user", id: subject }, action: { name: action }, resource: { type: "todo", id, properties } });
  const evaluate = async (body, key) => (await send("/access/v1/evaluation", { body, key })).json;

  before(async () => {
    home = await Home.make();
    home.edit(/$/, CONFIGURED);
    home.permitEverything(RULES);
    await home.serve();
    ann = await home.person("ann", "release-managers");
    backend = await home.caller("todo-backend");
    stranger = await home.caller("stranger");
    await home.caller("rick", { owner: "rick-himself" });
  });

  after(() => home?.remove());

  test("what it may do with which properties, by the names that it has for callers", async () => {
    assert.equal((await evaluate(question("can_update_todo", "1", { ownerID: "rick-himself" }))).decision, true);
    assert.equal((await evaluate(question("can_update_todo", "1", { ownerID: "morty" }))).decision, false);
    assert.equal((await evaluate(question("can_update_todo", "1"))).decision, false);
    assert.equal((await evaluate(question("can_fly", "1"))).context.reason, "operation_unknown");
    assert.equal((await evaluate(question("can_update_todo", "1", { ownerID: "rick-himself" }), stranger)).decision, false);
  });

  test("an approval survives a restart, is for that list, and is used once", async () => {
    const { context } = await evaluate(question("purge", "list-1"));
    const denial = { evaluation_id: context.evaluation_id, expires_at: context.access_request.expires_at };
    const { status, json } = await send("/access/v1/requests", { body: { ...question("purge", "list-1"), denial } });
    assert.equal(status, 201, JSON.stringify(json));
    assert.match((await ann.page(`/r/${json.task.id}`)).text, /Do purge in todo: list-1/);
    await home.stop();
    await home.serve();
    await ann.approve(json.task.id);
    const task = await send(new URL(json.task.status_endpoint).pathname, { method: "GET" });
    assert.deepEqual([task.json.task.status, task.json.result.mode], ["approved", "reevaluate"]);
    const again = { context: { approval: task.json.result.approval } };
    assert.equal((await evaluate({ ...question("purge", "list-2"), ...again })).decision, false);
    assert.equal((await evaluate({ ...question("purge", "list-1"), ...again })).decision, true);
    assert.equal((await evaluate({ ...question("purge", "list-1"), ...again })).decision, false);
  });

  test("its operations are listed, explained and part of the rules' schema, and the log verifies", async () => {
    const { tools } = await home.cli("upstream", "list");
    assert.ok(tools.some(({ tool }) => tool === "operation todo/purge" || tool === "todo/purge"), JSON.stringify(tools));
    assert.match((await home.saidBy("policy", "schema")).stdout, /do:todo\/purge/);
    const checked = await home.saidBy("check");
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    // What was released arrives where we do not see it.
    await home.judge({ canaries: [backend, stranger] });
  });
});
