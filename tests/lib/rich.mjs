// An MCP server over stdio that uses all that MCP 2025-11-25 lets a tool say, in its definition and in its answers.
// node rich.mjs
import { createInterface } from "node:readline";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const META = { "example.com/n": 1.5, "example.com/deep": { list: [1, null, { x: "\u202e" }] } };
const ABOUT = { audience: ["user", "assistant"], priority: 0.5, lastModified: "2025-11-25T00:00:00Z" };
const ICONS = [{ src: `data:image/png;base64,${PNG}`, mimeType: "image/png", sizes: ["1x1", "any"], theme: "dark" }];
const text = (words) => ({ type: "text", text: words });

/** Name, what its definition says beside the name, and what it answers. */
const TOOLS = {
  text: [{}, { content: [{ ...text("with\nall\u0000 \ud83d\udd10"), annotations: ABOUT, _meta: META }], _meta: META }],
  image: [{ icons: ICONS }, { content: [{ type: "image", data: PNG, mimeType: "image/png", annotations: ABOUT, _meta: META }] }],
  audio: [{ title: "A sound" }, { content: [{ type: "audio", data: "UklGRg==", mimeType: "audio/wav", annotations: ABOUT, _meta: META }] }],
  link: [{ annotations: { title: "A link", readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false } }, {
    content: [{ type: "resource_link", uri: "file:///a b.txt", name: "a", title: "A", description: "d", mimeType: "text/plain", size: 7, icons: ICONS, annotations: ABOUT, _meta: META }],
  }],
  embedded: [{ execution: { taskSupport: "forbidden" } }, {
    content: [
      { type: "resource", resource: { uri: "x://text", mimeType: "text/plain", text: "t", _meta: META }, annotations: ABOUT, _meta: META },
      { type: "resource", resource: { uri: "x://blob", mimeType: "image/png", blob: PNG } },
    ],
  }],
  structured: [{
    outputSchema: { type: "object", properties: { n: { type: "number" }, big: { type: "number" }, list: { type: "array" } }, required: ["n"] },
    _meta: META,
  }, { content: [text('{"n":1}')], structuredContent: { n: 1.25, big: 9007199254740993, list: [[], {}, null, ""] } }],
  many: [{}, { content: [text("1"), text("2"), { type: "image", data: PNG, mimeType: "image/png" }, text("3")], structuredContent: { free: true }, "example.com/own": "member" }],
  none: [{}, { content: [] }],
  failed: [{}, { content: [text("it failed"), text("twice")], isError: true, structuredContent: { why: "x" }, _meta: META }],
  error: [{}, Object.assign(new Error(), { error: { code: -32050, message: "no \u201cship\u201d", data: { n: [1.5, { x: null }], slug: "theirs" } } })],
  error_bare: [{}, Object.assign(new Error(), { error: { code: -32603, message: "internal" } })],
};
export const NAMES = Object.keys(TOOLS);

/** Tools over three pages, so that a client has to ask on. */
function list({ cursor }) {
  const from = Number(cursor ?? 0);
  const tools = NAMES.slice(from, from + 4).map((name) => ({ name, description: `Answers ${name}.`, inputSchema: { type: "object", "x-own": [1] }, ...TOOLS[name][0] }));
  return { tools, ...(from + 4 < NAMES.length && { nextCursor: String(from + 4) }) };
}

const METHODS = {
  initialize: () => ({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "rich", version: "1" } }),
  "tools/list": list,
  "tools/call": ({ name }) => TOOLS[name][1],
  ping: () => ({}),
};

if (process.argv[1] === import.meta.filename) {
  createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    const answer = METHODS[method]?.(params ?? {}) ?? new Error();
    const rest = answer instanceof Error ? { error: answer.error ?? { code: -32601, message: "no" } } : { result: answer };
    process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...rest })}\n`);
  }).on("close", () => process.exit(0));
}
