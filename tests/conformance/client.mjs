// The client that the conformance suite runs against a server of its own: node client.mjs URL
// It is stepup with that server as its upstream, and an ordinary client that calls through it what the scenario wants: what
// reaches the suite's server is said by stepup. Fails when the client is not answered as the server answers.
import assert from "node:assert/strict";
import { refusal } from "../lib/agent.mjs";
import { Home, until } from "../lib/home.mjs";
import { behind } from "../lib/clients.mjs";
import { MODERN_CLIENTS, PINNED } from "../lib/peers.mjs";

const { MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_PROTOCOL_VERSION: revision, MCP_CONFORMANCE_CONTEXT: context } = process.env;
const ERAS = { "2025-11-25": "legacy", "2026-07-28": "modern" };
const MODES = { "2025-11-25": "legacy", "2026-07-28": PINNED };

const call = (client, name, args = {}) => client.callTool({ name, arguments: args });

/** Calls a tool, which says so. */
const says = async (client, name, words, args) => {
  const { isError, content } = await call(client, name, args);
  assert.deepEqual([isError ?? false, content[0].text], [false, words]);
};

/** The answer of a person who leaves a form as it is. */
const preset = ({ requestedSchema: { properties } }) => {
  const content = Object.entries(properties).map(([name, schema]) => [name, schema.default]).filter(([, value]) => value !== undefined);
  return { action: "accept", content: Object.fromEntries(content) };
};

/** Waits until stepup has learned of a tool of its upstream. */
const listed = (client, what) => until(`${what} to be listed`, async () => (await client.listTools()).tools.find(({ name }) => name === what));

/** Waits until stepup and an upstream without any tools have agreed how they speak. */
const reached = () => until("the upstream", async () => !JSON.parse((await home.operations("/readyz")).text).upstreams_unreached.length);

/** What each scenario wants of a client. */
const SCENARIOS = {
  initialize: reached,
  tools_call: async (client) => {
    await listed(client, "add_numbers");
    await says(client, "add_numbers", "The sum of 2 and 3 is 5", { a: 2, b: 3 });
  },
  "elicitation-sep1034-client-defaults": async (client) => {
    await listed(client, "test_client_elicitation_defaults");
    // Its server asks on the stream of the session, and not on that of the call.
    const { isError } = await call(client, "test_client_elicitation_defaults");
    assert.ok(!isError);
  },
  "sse-retry": async (client) => {
    await listed(client, "test_reconnection");
    // The call's stream ends without an answer, and nothing is resumed.
    const { isError, _meta } = await call(client, "test_reconnection");
    assert.deepEqual([isError, refusal({ _meta }).slug], [true, "upstream_unreachable"]);
  },
  "json-schema-2020-12-preservation": async (client) => {
    const { inputSchema } = await listed(client, "json_schema_2020_12_tool");
    await says(client, "json_schema_echo", "echoed", { schema: inputSchema });
  },
  "json-schema-ref-no-deref": async (client) => {
    await listed(client, "lookup_user");
    // Its server has no call: what is called is checked by the schema before.
    await call(client, "lookup_user", { id: "a", profile: {} }).catch(() => {});
  },
  "request-metadata": reached,
  "sep-2322-client-request-state": async (client) => {
    await listed(client, "test_mrtr_echo_state");
    const unrelated = says(client, "test_mrtr_unrelated", "unrelated-ok");
    await says(client, "test_mrtr_echo_state", "echo-state-ok");
    await says(client, "test_mrtr_no_state", "no-state-ok");
    await unrelated;
    await says(client, "test_mrtr_unrelated", "unrelated-ok");
    await says(client, "test_mrtr_no_result_type", "no-result-type-test-ok");
  },
  "http-standard-headers": async (client) => {
    await listed(client, "test_headers");
    await says(client, "my-hyphenated-tool", "Headers test completed");
    const { prompts } = await client.listPrompts();
    await client.getPrompt({ name: prompts[0].name });
    const { resources } = await client.listResources();
    await client.readResource({ uri: resources[0].uri });
  },
  "http-custom-headers": async (client) => {
    await listed(client, "test_custom_headers");
    for (const { name, arguments: args } of JSON.parse(context).toolCalls) {
      const given = Object.entries(args).filter(([, value]) => value !== null);
      // A null is refused where the schema has a boolean: what arrives is a call that has none.
      if (given.length < Object.keys(args).length) {
        await assert.rejects(call(client, name, args), ({ data }) => data.slug === "arguments_invalid");
      }
      await says(client, name, "Custom headers test completed", Object.fromEntries(given));
    }
  },
  "http-invalid-tool-headers": async (client) => {
    await listed(client, "valid_tool");
    await says(client, "valid_tool", "Tool call received", { region: "here" });
    const { tools } = await client.listTools();
    const others = tools.map(({ name }) => name).filter((name) => name !== "valid_tool" && !name.startsWith("stepup_"));
    assert.deepEqual(others, []);
  },
};

const home = await Home.make({ upstreams: () => ({ suite: { url: process.argv[2], era: ERAS[revision] } }) });
try {
  home.permitEverything();
  await home.serve();
  const target = behind(home, "suite", await home.caller("suite"));
  const { client } = await MODERN_CLIENTS["TypeScript SDK 2"].connect({ ...target, mode: MODES[revision], onask: () => {} });
  client.setRequestHandler("elicitation/create", ({ params }) => preset(params));
  await SCENARIOS[scenario](client);
  await client.close();
} catch (error) {
  console.error(home.said());
  throw error;
} finally {
  await home.remove();
}
