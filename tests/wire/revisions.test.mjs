// Each revision of MCP on either side of the real binary, as bytes: the whole step-up, and what each MUST of the pages on
// versions asks to be refused.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Agent, challenge, raw, read, refusal, words } from "../lib/agent.mjs";
import { arrivals } from "../lib/arrivals.mjs";
import { assertRefused } from "../lib/errors.mjs";
import { Home, TESTS } from "../lib/home.mjs";
import { watched } from "../lib/upstreams.mjs";

const CALLERS = ["2025-06-18", "2025-11-25"];
const UPSTREAMS = ["2025-03-26", ...CALLERS];
const READ = { reviewed: "read-only" };
const name = (revision) => `of-${revision}`;
const META = "io.modelcontextprotocol/protocolVersion";

let home, key, alice;

before(async () => {
  const upstream = (home, revision) => ({
    command: watched(home, name(revision), [process.execPath, join(TESTS, "lib/of_revision.mjs"), revision]),
    tools: { look: READ, opens: READ },
  });
  home = await Home.make({ upstreams: (home) => Object.fromEntries(UPSTREAMS.map((one) => [name(one), upstream(home, one)])) });
  await home.serve();
  key = await home.caller("agent");
  alice = await home.person();
  for (const revision of UPSTREAMS) await home.pinned(`${name(revision)}/act`);
});

after(() => home?.remove());

const reached = (tool) => arrivals(home.arrivals).filter((one) => one.tool === tool).length;

for (const caller of CALLERS) {
  for (const upstream of UPSTREAMS) {
    describe(`a client of ${caller}, a server of ${upstream}`, () => {
      // Each calls with arguments of its own: a repeat of a call that is pending would wait.
      const n = CALLERS.indexOf(caller);
      const tool = (of) => `${name(upstream)}/${of}`;
      let agent;

      before(async () => { agent = await Agent.open(home, name(upstream), key, caller); });

      test("a call is stopped, approved and run once", async () => {
        const stopped = await agent.call("act", { n });
        const before = reached(tool("act"));
        await alice.approve(challenge(stopped).elevation);
        assert.equal(words(await agent.call("stepup_run", { elevation: challenge(stopped).elevation })), "acted");
        assert.equal(reached(tool("act")), before + 1);
        assert.equal(words(await agent.call("look")), "seen");
      });

      test("what is not carried is named, and a task before anybody is asked", async () => {
        const opens = await agent.post({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "opens", arguments: {} } });
        assertRefused(opens, "upstream_needs_feature");
        assert.match(opens.text, /elicitation by URL/);
        assert.ok(!opens.text.includes("canary"), opens.text);
        const task = await agent.call("only_task", { n });
        if (upstream === "2025-11-25") {
          assert.equal(refusal(task).slug, "upstream_needs_feature");
          assert.match(words(task), /Needed: tasks\..*did not run/);
        } else {
          assert.ok(challenge(task), "where there are no tasks, none is needed");
        }
        assert.equal(reached(tool("only_task")), 0);
      });
    });
  }

  describe(`a session of ${caller}`, () => {
    const other = CALLERS.find((one) => one !== caller);
    const look = (params = {}) => ({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "look", arguments: {}, ...params } });
    const tool = `${name(caller)}/look`;
    let agent;

    before(async () => { agent = await Agent.open(home, name(caller), key, caller); });

    for (const named of [other, "2025-03-26", "1999-01-01", "x".repeat(4096), ""]) {
      test(`refuses a request, a stream and an end that name ${named.slice(0, 12) || "nothing"}, and goes on`, async () => {
        const before = reached(tool);
        const headers = { ...agent.headers, "mcp-protocol-version": named };
        for (const method of ["POST", "GET", "DELETE"]) {
          const body = method === "POST" ? JSON.stringify(look()) : undefined;
          const answer = await raw(agent.url, { method, headers, body });
          assertRefused(answer, "version_unsupported");
          assert.deepEqual(read(answer).error.data.supported, ["2026-07-28", "2025-11-25", "2025-06-18"]);
        }
        // A name that is of no session may be of an era to come, whose headers repeat it.
        const slug = [other, "2025-03-26"].includes(named) ? "version_unsupported" : "header_mismatch";
        assertRefused(await agent.post(look({ _meta: { [META]: named } })), slug, { modern: slug === "header_mismatch" });
        assert.equal(reached(tool), before);
        assert.equal(words(await agent.call("look")), "seen");
      });
    }

    test("may name its own revision or none", async () => {
      const { "mcp-protocol-version": own, ...without } = agent.headers;
      assert.equal(own, caller);
      const answer = await raw(agent.url, { headers: without, body: JSON.stringify(look({ _meta: { [META]: caller } })) });
      assert.equal(words(read(answer).result), "seen");
    });

    test("has no batches, and tasks only as its revision says", async () => {
      const before = reached(tool);
      assertRefused(await agent.post([look(), look()]), "batch_refused");
      assert.equal(reached(tool), before);
      const task = await agent.post(look({ task: { ttl: 1 } }));
      if (caller === "2025-06-18") assertRefused(task, "request_invalid");
      else assert.equal(words(read(task).result), "seen");
    });
  });
}

describe("without a session", () => {
  const meta = { [META]: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} };
  const tool = `${name("2025-11-25")}/look`;
  let url, headers;

  before(async () => {
    const agent = await Agent.open(home, name("2025-11-25"), key);
    url = agent.url;
    headers = { ...agent.headers, "mcp-protocol-version": "2026-07-28" };
    delete headers["mcp-session-id"];
  });

  const ask = (method, params, more = {}) => raw(url, {
    headers: { ...headers, "mcp-method": method, ...more },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } }),
  });

  test("a client that speaks 2026-07-28 is told what there is, and its calls run", async () => {
    const { result } = read(await ask("server/discover", {}));
    assert.deepEqual([result.resultType, result.supportedVersions], ["complete", ["2026-07-28", "2025-11-25", "2025-06-18"]]);
    const call = { name: "look", arguments: {} };
    const looked = read(await ask("tools/call", call, { "mcp-name": "look" })).result;
    assert.deepEqual([looked.resultType, words(looked)], ["complete", "seen"]);
  });

  test("one whose headers say something else reaches nothing", async () => {
    const before = reached(tool);
    assertRefused(await ask("tools/call", { name: "look", arguments: {} }, { "mcp-name": "other" }), "header_mismatch", { modern: true });
    assertRefused(await ask("tools/call", { name: "look", arguments: {} }), "header_mismatch", { modern: true });
    assert.equal(reached(tool), before);
  });
});

test("the checker agrees", async () => {
  await home.judge({ canaries: [key, "canary-address"] });
});
