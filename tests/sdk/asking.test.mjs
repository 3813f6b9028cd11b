// Prompts, resources and completions directly and through stepup: the same lists, answers and errors.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { teeHttp } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, address, behind, program } from "../lib/clients.mjs";
import { Home, until } from "../lib/home.mjs";
import { EVERYTHING, everythingHttp, watched } from "../lib/upstreams.mjs";

const RULES = `
@id("agents-ask") permit (principal in Group::"ops-agents",
  action in [Action::"prompts/get", Action::"resources/read", Action::"completion/complete"], resource);
@id("stopped") @stepup("release-approval") forbid (principal, action == Action::"resources/read", resource)
unless { resource.uri like "demo://resource/*" };
`;

const text = (uri) => (client) => client.readResource({ uri });
const prompt = (name, args) => (client) => client.getPrompt({ name, arguments: args });
const complete = (ref, name, value, args) => (client) =>
  client.complete({ ref, argument: { name, value }, ...(args ? { context: { arguments: args } } : {}) });
const COMPLETABLE = { type: "ref/prompt", name: "completable-prompt" };
const TEMPLATE = { type: "ref/resource", uri: "demo://resource/dynamic/text/{resourceId}" };

const SAME = {
  "a document": text("demo://resource/static/document/features.md"),
  "a text of a template": text("demo://resource/dynamic/text/1"),
  "a blob of a template": text("demo://resource/dynamic/blob/2"),
  "a resource that is not there": text("demo://resource/nothing"),
  "a prompt without arguments": prompt("simple-prompt"),
  "a prompt with one": prompt("args-prompt", { city: "\u202eOslo" }),
  "a prompt with two": prompt("args-prompt", { city: "Oslo", state: "\n\"" }),
  "a prompt that needs one more": prompt("args-prompt", { state: "x" }),
  "a prompt with a resource in it": prompt("resource-prompt", { resourceType: "Text", resourceId: "3" }),
  "values for an argument": complete(COMPLETABLE, "department", "E"),
  "values by what is known": complete(COMPLETABLE, "name", "", { department: "Engineering" }),
  "values for a variable": complete(TEMPLATE, "resourceId", "1"),
  "values for a variable that is none": complete(TEMPLATE, "nothing", "1"),
};

/** Resources are made when they are read, and say so; an error is as it was told. */
const steady = (value) => JSON.parse(JSON.stringify(value, (key, part) => {
  if (key === "blob") return Buffer.from(part, "base64").toString().replace(/\d+:\d+:\d+/, "…");
  return typeof part === "string" ? part.replace(/\d+:\d+:\d+ [AP]M/, "…") : part;
}));
const told = ({ code, message, data }) => ({ error: { code, message, data } });

let home, key, http, tee, alice, TARGETS;

before(async () => {
  home = await Home.make();
  http = await everythingHttp();
  tee = await teeHttp(http.port, home.arrivals, "http");
  home.upstreams({
    stdio: { command: watched(home, "stdio", EVERYTHING), env: ENV },
    http: { url: `http://127.0.0.1:${tee.address().port}/mcp` },
  });
  TARGETS = { stdio: program(...EVERYTHING), http: address(`http://127.0.0.1:${http.port}/mcp`) };
  writeFileSync(join(home.folder, "policies/asking.cedar"), RULES);
  await home.serve();
  key = await home.caller("reader");
  alice = await home.person();
  for (const upstream of ["stdio", "http"]) {
    await until(`the prompts of ${upstream} to be pinned`, async () =>
      (await home.cli("upstream", "list")).tools.some(({ tool, kind }) => kind === "prompt" && tool === `${upstream}/args-prompt`));
  }
});

after(async () => {
  tee?.closeAllConnections();
  tee?.close();
  http?.stop();
  await home?.remove();
});

for (const upstream of ["stdio", "http"]) {
  describe(upstream, () => {
    let direct, through;

    before(async () => {
      direct = (await CLIENTS["TypeScript SDK"].connect(TARGETS[upstream])).client;
      through = (await CLIENTS["TypeScript SDK"].connect(behind(home, upstream, key))).client;
    });

    after(async () => {
      await through?.close();
      await direct?.close();
    });

    test("says that there are such, as far as they are carried", () => {
      const has = Object.keys(through.getServerCapabilities()).sort();
      assert.deepEqual(has, ["completions", "logging", "prompts", "resources", "tools"]);
    });

    test("lists the same", async () => {
      const by = (name) => (a, b) => (a[name] < b[name] ? -1 : 1);
      for (const [list, member, name] of [
        ["listPrompts", "prompts", "name"],
        ["listResources", "resources", "uri"],
        ["listResourceTemplates", "resourceTemplates", "uriTemplate"],
      ]) {
        const [expected, got] = [(await direct[list]())[member], (await through[list]())[member]];
        assert.ok(expected.length > 0);
        assert.deepEqual(got.sort(by(name)), expected.sort(by(name)), list);
      }
    });

    for (const [what, ask] of Object.entries(SAME)) {
      test(`gets the same: ${what}`, async () => {
        const [expected, got] = [await ask(direct).catch(told), await ask(through).catch(told)];
        assert.deepEqual(steady(got), steady(expected));
      });
    }

    test("subscribes to what it may read", async () => {
      await through.subscribeResource({ uri: "demo://resource/dynamic/text/1" });
      await through.unsubscribeResource({ uri: "demo://resource/dynamic/text/1" });
    });

    test("is refused what stepup refuses, before anything arrives", async () => {
      const refused = (code, slug) => (error) => error.code === code && error.data.slug === slug;
      await assert.rejects(text("demo://resource/dynamic/../x")(through), refused(-32602, "uri_refused"));
      await assert.rejects(text("file:///etc/hosts")(through), refused(1023, "approval_required"));
      await assert.rejects(prompt("nothing", {})(through), refused(-32602, "prompt_unknown"));
      await assert.rejects(through.subscribeResource({ uri: "file:///etc/hosts" }), refused(1023, "approval_required"));
    });
  });
}

test("a stopped read is approved by a person, and runs once by its id or as it was", async () => {
  const { client } = await CLIENTS["TypeScript SDK"].connect(behind(home, "stdio", key));
  const stopped = (name) => text(`demo://other/${name}`)(client).then(() => assert.fail("it ran"), ({ data }) => data);
  const [first, second] = [await stopped("a"), await stopped("b")];
  assert.equal(first.slug, "approval_required");
  for (const { elevation } of [first, second]) await alice.approve(elevation);
  // The upstream has no such resource: that it says so shows that it was asked.
  await assert.rejects(text("demo://other/a")(client), ({ code, message }) => code === -32602 && message.includes("demo://other/a not found"));
  const run = () => client.callTool({ name: "stepup_run", arguments: { elevation: second.elevation } });
  await assert.rejects(run(), ({ message }) => message.includes("demo://other/b not found"));
  assert.equal((await run()).isError, true);
  await client.close();
});

test("the checker finds one permit for each arrival, and the log verifies", async () => {
  const report = await home.judge({ canaries: [key] });
  const [elevated, subscribed] = [2, 2];
  assert.equal(report.arrivals, 2 * Object.keys(SAME).length + elevated + subscribed);
});
