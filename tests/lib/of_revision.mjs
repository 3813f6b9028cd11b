// An MCP server over stdio that speaks one revision of MCP, and takes calls as tasks where that has them:
// node of_revision.mjs REVISION
import { createInterface } from "node:readline";

const [revision] = process.argv.slice(2);
const text = (words) => ({ content: [{ type: "text", text: words }] });
const inputSchema = { type: "object", properties: { n: { type: "integer" } } };

/** Name, what its definition says beside, and what it answers. */
const TOOLS = {
  act: [{}, { result: text("acted") }],
  look: [{ icons: [{ src: "data:image/png;base64,AA==" }] }, { result: text("seen") }],
  only_task: [{ execution: { taskSupport: "required" } }, { error: { code: -32601, message: "as a task only" } }],
  opens: [{}, { error: { code: -32042, message: "open it", data: { elicitations: [{ mode: "url", elicitationId: "1", url: "https://canary-address.example/", message: "open it" }] } } }],
};

const METHODS = {
  initialize: () => ({ result: {
    protocolVersion: revision, serverInfo: { name: "of-revision", version: "1" },
    capabilities: { tools: {}, ...(revision >= "2025-11-25" && { tasks: { requests: { tools: { call: {} } } } }) },
  } }),
  "tools/list": () => ({ result: { tools: Object.entries(TOOLS).map(([name, [more]]) => ({ name, inputSchema, ...more })) } }),
  "tools/call": ({ name }) => TOOLS[name][1],
  ping: () => ({ result: {} }),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const answer = METHODS[method]?.(params) ?? { error: { code: -32601, message: "no" } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...answer })}\n`);
}).on("close", () => process.exit(0));
