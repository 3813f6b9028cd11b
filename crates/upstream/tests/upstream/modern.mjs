// A server of `@modelcontextprotocol/server` 2.x: node modern.mjs PEERS stdio|http serve|reject
// What the third word says is whether it also speaks the legacy era.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [peers, transport, legacy] = process.argv.slice(2);
const require = createRequire(`${peers}/package.json`);
const { McpServer, createMcpHandler, fromJsonSchema, inputRequired } = require("@modelcontextprotocol/server");
const { serveStdio } = require("@modelcontextprotocol/server/stdio");

const text = (text) => ({ content: [{ type: "text", text }] });
const schema = (properties) => fromJsonSchema({ type: "object", properties });
const more = new Set();
const instances = new Set();
const add = (server, name) => server.registerTool(name, { inputSchema: schema({}) }, () => text(name));
// Over stdio one instance lives as long as the process, and says itself that it has one tool more.
let changed = (name) => instances.forEach((server) => add(server, name));

function build({ era } = {}) {
  const server = new McpServer({ name: "fixture", version: "0" }, { capabilities: { tools: { listChanged: true } } });
  instances.add(server);
  const tool = (name, properties, run) => server.registerTool(name, { inputSchema: schema(properties) }, run);
  tool("echo", { message: { type: "string" } }, ({ message }) => text(`Echo: ${message}`));
  tool("era", {}, () => text(`${era}`));
  tool("told", { region: { type: "string", "x-mcp-header": "Region" } }, ({ region }) => text(`Told: ${region}`));
  tool("steps", { of: { type: "integer" } }, async ({ of }, context) => {
    const progressToken = context.mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= of; progress++) {
      await context.mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: of } });
    }
    return text("done");
  });
  tool("asks", {}, () => inputRequired({ requestState: "state" }));
  tool("fails", {}, () => ({ ...text("it did not work"), isError: true }));
  tool("grows", { name: { type: "string" } }, ({ name }) => {
    more.add(name);
    changed(name);
    return text("grown");
  });
  more.forEach((name) => add(server, name));
  return server;
}

if (transport === "stdio") {
  serveStdio(build, { legacy });
} else {
  const handler = createMcpHandler(build, { legacy: legacy === "serve" ? "stateless" : "reject" });
  changed = () => handler.notify.toolsChanged();
  const server = createServer(async (from, to) => {
    const gone = new AbortController();
    to.on("close", () => gone.abort());
    const chunks = [];
    for await (const chunk of from) chunks.push(chunk);
    const body = ["GET", "HEAD"].includes(from.method) ? undefined : Buffer.concat(chunks);
    const request = new Request(`http://127.0.0.1${from.url}`, {
      method: from.method, headers: from.headers, body, signal: gone.signal,
    });
    const response = await handler.fetch(request);
    to.writeHead(response.status, Object.fromEntries(response.headers));
    to.flushHeaders();
    for await (const chunk of response.body ?? []) to.write(chunk);
    to.end();
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}
