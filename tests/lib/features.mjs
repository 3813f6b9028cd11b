// A server of the TypeScript SDK 2.x that speaks one revision of MCP, and has every feature of it:
// node features.mjs REVISION [PORT]
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const sdk = (module) => import(join(import.meta.dirname, "../conformance/node_modules/@modelcontextprotocol", module));
const { McpServer, UrlElicitationRequiredError, createMcpHandler, fromJsonSchema, inputRequired } = await sdk("server/dist/index.mjs");
const { StdioServerTransport, serveStdio } = await sdk("server/dist/stdio.mjs");
const { NodeStreamableHTTPServerTransport, toNodeHandler } = await sdk("node/dist/index.mjs");

const [revision, port] = process.argv.slice(2);
const MODERN = revision === "2026-07-28";
const said = (text) => ({ content: [{ type: "text", text }] });
const FORM = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };

/** What it asks of a client, as its revision has it. */
const ASKS = {
  form: { method: "elicitation/create", params: { ...(revision > "2025-06-18" && { mode: "form" }), message: "Who are you?", requestedSchema: FORM } },
  url: { method: "elicitation/create", params: { mode: "url", message: "Sign in", url: "https://features.example/in" } },
  sampling: { method: "sampling/createMessage", params: { messages: [{ role: "user", content: { type: "text", text: "A word?" } }], maxTokens: 9 } },
  roots: { method: "roots/list" },
};

/** A session's address has an id of its own each time. */
const opens = () => ({ ...ASKS.url.params, elicitationId: randomUUID() });

const asking = (name) => async (_, { mcpReq }) => {
  const inSession = name === "url" ? { ...ASKS.url, params: opens() } : ASKS[name];
  if (!MODERN) return said(JSON.stringify(await mcpReq.send(inSession)));
  const answer = mcpReq.inputResponses?.[name];
  return answer ? said(JSON.stringify(answer)) : inputRequired({ inputRequests: { [name]: ASKS[name] } });
};

/** How many calls waited and were cancelled, and how many resources there are more than at first. */
const waits = { started: 0, cancelled: 0 };
let more = 0;
const servers = new Set();
let modern;

/** Tells everybody who listens, as each era and transport does. */
const tell = {
  list: () => (modern ? modern.notify.resourcesChanged() : [...servers].map(({ server }) => server.sendResourceListChanged())),
  page: (uri) => (modern ? modern.notify.resourceUpdated(uri) : [...servers].map(({ server }) => server.sendResourceUpdated({ uri }))),
};

const TOOLS = {
  ...Object.fromEntries(Object.keys(ASKS).map((name) => [`ask_${name}`, asking(name)])),
  // As a session of 2025-11-25 has it: that the address was opened is told, and that one has to be is an error.
  ask_and_tell: async (_, { mcpReq }) => {
    const params = opens();
    const { action } = await mcpReq.send({ ...ASKS.url, params });
    await mcpReq.notify({ method: "notifications/elicitation/complete", params: { elicitationId: params.elicitationId } });
    await sleep(50);
    return said(action);
  },
  open_first: () => {
    throw new UrlElicitationRequiredError([opens()]);
  },
  say: ({ text }) => ({ ...said(text), structuredContent: { text } }),
  climb: async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [1, 2, 3]) {
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 3, message: `step ${progress}` } });
      await sleep(150);
    }
    return said("up");
  },
  wait: (_, { mcpReq: { signal } }) => new Promise((done) => {
    waits.started += 1;
    signal.addEventListener("abort", () => (waits.cancelled += 1, done(said("stopped"))));
  }),
  waits: () => said(JSON.stringify(waits)),
  log: async (_, { mcpReq }) => {
    for (const level of ["debug", "info", "error"]) await mcpReq.log(level, { words: `an ${level}` }, "features");
    return said("logged");
  },
  add: async () => (more += 1, await tell.list(), said(`features://more/${more}`)),
  touch: async ({ text: uri }) => (await tell.page(uri), said("touched")),
};

const HANDLERS = {
  "prompts/list": () => ({ prompts: [{ name: "greet", arguments: [{ name: "who", required: true }] }] }),
  "prompts/get": ({ params: { arguments: { who } } }) => ({ messages: [{ role: "user", content: { type: "text", text: `Greet ${who}` } }] }),
  "resources/list": () => ({ resources: [{ uri: "features://page", name: "page" }, ...Array.from({ length: more }, (_, n) => ({ uri: `features://more/${n + 1}`, name: `more ${n + 1}` }))] }),
  "resources/templates/list": () => ({ resourceTemplates: [{ uriTemplate: "features://page/{n}", name: "pages" }] }),
  "resources/read": ({ params: { uri } }) => ({ contents: [{ uri, mimeType: "text/plain", text: `what is at ${uri}` }] }),
  "resources/subscribe": () => ({}),
  "resources/unsubscribe": () => ({}),
  "completion/complete": ({ params: { argument: { value } } }) => ({ completion: { values: [`${value}da`, `${value}bel`], total: 2, hasMore: false } }),
};

function serve() {
  const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true, listChanged: true }, completions: {}, logging: {} };
  const server = new McpServer({ name: "features", version: "1" }, { capabilities, supportedProtocolVersions: [revision] });
  for (const [method, handler] of Object.entries(HANDLERS)) server.server.setRequestHandler(method, handler);
  const inputSchema = fromJsonSchema({ type: "object", properties: { text: { type: "string" } } });
  for (const [name, call] of Object.entries(TOOLS)) server.registerTool(name, { inputSchema }, call);
  servers.add(server);
  server.server.onclose = () => servers.delete(server);
  return server;
}

/** One server for each session. */
const sessions = new Map();
async function session(request, response) {
  const id = request.headers["mcp-session-id"];
  if (id && !sessions.has(id)) return response.writeHead(404).end();
  if (id) return sessions.get(id).handleRequest(request, response);
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (made) => sessions.set(made, transport),
    onsessionclosed: (over) => sessions.delete(over),
  });
  await serve().connect(transport);
  await transport.handleRequest(request, response);
}

if (port) {
  modern = MODERN && createMcpHandler(serve, { legacy: "reject" });
  const answer = modern ? toNodeHandler(modern) : session;
  createServer((request, response) => Promise.resolve(answer(request, response)).catch(() => response.destroy())).listen(Number(port), "127.0.0.1");
} else if (MODERN) {
  serveStdio(serve, { legacy: "reject" });
} else {
  await serve().connect(new StdioServerTransport());
}
