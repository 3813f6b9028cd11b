// The server that the conformance suite calls by name, of the TypeScript SDK 2.x; speaks both eras at one address:
// node fixture.mjs PORT
// What each tool, prompt and resource is called and answers is what the suite's scenarios describe (fixture.json).
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  NodeStreamableHTTPServerTransport, localhostHostValidation, localhostOriginValidation, toNodeHandler, toWebRequest,
} from "@modelcontextprotocol/node";
import {
  McpServer, ProtocolError, createMcpHandler, createRequestStateCodec, fromJsonSchema, inputRequired, inputResponse, isLegacyRequest,
} from "@modelcontextprotocol/server";

const SUITE = JSON.parse(readFileSync(join(import.meta.dirname, "fixture.json"), "utf8"));
const state = createRequestStateCodec({ key: randomBytes(32), ttlSeconds: 600 });
const said = (text) => ({ content: [{ type: "text", text }] });

/** Asks the client for what these names stand for, in a result of the modern era. */
const ask = (names, requestState) =>
  inputRequired({ inputRequests: Object.fromEntries(names.map((name) => [name, SUITE.asks[name]])), ...(requestState && { requestState }) });

/** What the client gave under a name: a member of an accepted form, or whatever else it was asked for. */
function given({ mcpReq }, name) {
  const view = inputResponse(mcpReq.inputResponses, name);
  const [member, { type } = {}] = Object.entries(SUITE.asks[name].params.requestedSchema?.properties ?? {})[0] ?? [];
  if (!member) return view.kind === "missing" ? undefined : JSON.stringify(view);
  return view.action === "accept" && typeof view.content?.[member] === type ? view.content[member] : undefined;
}

const asking = (name) => (_, ctx) => (given(ctx, name) === undefined ? ask([name]) : said(`Given: ${given(ctx, name)}`));

/** Asks for all, with a state that has to come back. */
const keeping = (names, words) => async (_, ctx) =>
  ctx.mcpReq.requestState() && names.every((name) => given(ctx, name) !== undefined) ? said(words) : ask(names, await state.mint({}));

async function rounds(_, ctx) {
  const at = ctx.mcpReq.requestState()?.step;
  if (at === 2 && given(ctx, "step2")) return said("All steps are done");
  const step = at === 1 && given(ctx, "step1") ? 2 : 1;
  return ask([`step${step}`], await state.mint({ step }));
}

/** On the stream of the call, not on that of its session, which no call is told from. */
const within = ({ mcpReq }) => ({ relatedRequestId: mcpReq.id });

/** Of the legacy era: a form while the call runs. */
const eliciting = (name) => async ({ message = "Please say" }, ctx) => {
  const { action, content } = await ctx.mcpReq.elicitInput({ mode: "form", message, requestedSchema: SUITE.forms[name] }, within(ctx));
  return said(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
};

const sampling = (client) => async ({ prompt }, ctx) => {
  if (!client()?.sampling) return { ...said("The client does not sample"), isError: true };
  const messages = [{ role: "user", content: { type: "text", text: prompt } }];
  const { content } = await ctx.mcpReq.requestSampling({ messages, maxTokens: 100 }, within(ctx));
  return said(`LLM response: ${[content].flat()[0].text}`);
};

async function progress(_, ctx) {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  for (const done of [0, 50, 100]) {
    const params = { progressToken, progress: done, total: 100 };
    if (progressToken !== undefined) await ctx.mcpReq.notify({ method: "notifications/progress", params });
    await sleep(50);
  }
  return said("Done");
}

async function logging(_, ctx) {
  for (const words of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
    await ctx.mcpReq.log("info", words);
    await sleep(50);
  }
  return said("Done");
}

function declared(_, ctx) {
  const { elicitation, sampling } = ctx.mcpReq.envelope?.["io.modelcontextprotocol/clientCapabilities"] ?? {};
  return ask([...(elicitation ? ["user_name"] : []), ...(sampling ? ["capital_question"] : [])], "stateless");
}

const TOOLS = (change, client) => ({
  ...Object.fromEntries(Object.entries(SUITE.answers).map(([name, answer]) => [name, () => answer])),
  ...Object.fromEntries(Object.keys(SUITE.forms).map((name) => [name, eliciting(name)])),
  test_tool_with_progress: progress,
  test_tool_with_logging: logging,
  test_logging_tool: logging,
  test_sampling: sampling(client),
  test_missing_capability: asking("capital_question"),
  test_streaming_elicitation: asking("user_name"),
  test_trigger_tool_change: () => (change("toolsChanged"), said("changed")),
  test_trigger_prompt_change: () => (change("promptsChanged"), said("changed")),
  test_input_required_result_elicitation: asking("user_name"),
  test_input_required_result_sampling: asking("capital_question"),
  test_input_required_result_list_roots: asking("client_roots"),
  test_input_required_result_request_state: keeping(["confirm"], "state-ok"),
  test_input_required_result_tampered_state: keeping(["confirm"], "confirmed"),
  test_input_required_result_multiple_inputs: keeping(["user_name", "greeting", "client_roots"], "All is here"),
  test_input_required_result_multi_round: rounds,
  test_input_required_result_capabilities: declared,
});

function resource(uri) {
  const [before, after] = SUITE.template.split("{id}");
  const id = uri.startsWith(before) && uri.endsWith(after) && uri.slice(before.length, -after.length);
  if (id) return { mimeType: "application/json", text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) };
  if (Object.hasOwn(SUITE.resources, uri)) return SUITE.resources[uri];
  throw new ProtocolError(-32602, "Resource not found", { uri });
}

function prompt({ name, arguments: args = {} }, ctx) {
  if (!Object.hasOwn(SUITE.prompts, name)) throw new ProtocolError(-32602, `Unknown prompt: ${name}`);
  if (name === "test_input_required_result_prompt" && given(ctx, "user_context") === undefined) return ask(["user_context"]);
  const filled = (_, value) => (typeof value === "string" ? value.replace(/\{(\w+)\}/g, (whole, argument) => args[argument] ?? whole) : value);
  return { messages: JSON.parse(JSON.stringify(SUITE.prompts[name].messages), filled) };
}

const HANDLERS = {
  "prompts/list": () => ({
    prompts: Object.entries(SUITE.prompts).map(([name, { arguments: names }]) => ({
      name, description: `The suite's ${name}.`, arguments: names.map((one) => ({ name: one, description: `The ${one}.`, required: true })),
    })),
  }),
  "prompts/get": ({ params }, ctx) => prompt(params, ctx),
  "resources/list": () => ({
    resources: Object.entries(SUITE.resources).map(([uri, { mimeType }]) => ({ uri, name: uri.slice(7), description: `The suite's ${uri}.`, mimeType })),
  }),
  "resources/templates/list": () => ({
    resourceTemplates: [{ uriTemplate: SUITE.template, name: "template", description: "The suite's template.", mimeType: "application/json" }],
  }),
  "resources/read": ({ params: { uri } }) => ({ contents: [{ uri, ...resource(uri) }] }),
  "resources/subscribe": () => ({}),
  "resources/unsubscribe": () => ({}),
  "completion/complete": ({ params: { argument } }) => {
    const values = SUITE.completions.filter((one) => one.startsWith(argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  },
};

/** A server of either era; `change(what)` tells who listens. */
function serve(change) {
  const capabilities = {
    tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true }, completions: {}, logging: {},
  };
  const server = new McpServer({ name: "conformance-fixture", version: "1.0.0" }, { capabilities, requestState: { verify: state.verify } });
  for (const [method, handler] of Object.entries(HANDLERS)) server.server.setRequestHandler(method, handler);
  for (const [name, call] of Object.entries(TOOLS(change, () => server.server.getClientCapabilities()))) {
    const schema = SUITE.schemas[name] ?? { type: "object", properties: {} };
    server.registerTool(name, { description: `The suite's ${name}.`, inputSchema: fromJsonSchema(schema) }, call);
  }
  return server;
}

const modern = createMcpHandler(() => serve((what) => modern.notify[what]()), { legacy: "reject" });
const modernNode = toNodeHandler(modern);
const sessions = new Map();

/** Sessions of the legacy era, each with a server of its own. */
async function legacy(request, response, body) {
  const id = request.headers["mcp-session-id"];
  if (sessions.has(id)) return sessions.get(id).handleRequest(request, response, body);
  if (id) return response.writeHead(404).end();
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (made) => sessions.set(made, transport),
    onsessionclosed: (over) => sessions.delete(over),
  });
  await serve(() => {}).connect(transport);
  await transport.handleRequest(request, response, body);
}

const guards = [localhostHostValidation(), localhostOriginValidation()];

async function both(request, response) {
  if (!guards.every((guard) => guard(request, response))) return;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
  const old = request.method !== "POST" || await isLegacyRequest(await toWebRequest(request, body));
  return old ? legacy(request, response, body) : modernNode(request, response, body);
}

createServer((request, response) => {
  both(request, response).catch((error) => {
    console.error(error);
    response.headersSent ? response.end() : response.writeHead(400).end();
  });
}).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
