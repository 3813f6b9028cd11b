// What arrives at an upstream, one line a call, in the form that the checker reads (crates/checker).
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import http from "node:http";
import { createInterface } from "node:readline";

/** What is an access, and how the log names what it is to and with what. */
const ACCESSES = {
  "tools/call": ({ name, arguments: args }) => [name, args],
  "prompts/get": ({ name, arguments: args }) => [name, args],
  "resources/read": ({ uri }) => [uri, { uri }],
  "resources/subscribe": ({ uri }) => [uri, { uri }],
  // For one resource; that lists are listened for is no access. More than one would be more than a permit is for.
  "subscriptions/listen": ({ notifications: { resourceSubscriptions: uris } }) => uris && [`${uris}`, { uri: `${uris}` }],
  "completion/complete": ({ ref, argument, context }) => [ref.name ?? ref.uri, { argument, ...(context ? { context } : {}) }],
};

/** Writes a message down if it is an access. */
export function arrived(file, upstream, message) {
  const { method, params } = JSON.parse(message);
  const access = ACCESSES[method]?.(params);
  if (!access) return;
  const [name, args] = access;
  const line = JSON.stringify({ at: Date.now(), tool: `${upstream}/${name}`, arguments: args ?? null });
  const open = openSync(file, "a");
  writeSync(open, `${line}\n`);
  fsyncSync(open);
  closeSync(open);
}

export function arrivals(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/**
 * What an upstream asks within calls, on their streams. A client's answer is an access of its own, to what the call is to: it
 * arrives as the call does. That there is none, which stepup says of its own accord, is no access.
 */
class Asked {
  #calls = new Map();

  /** Looks through a stream that answers a call. */
  within(call, session, stream) {
    const lines = createInterface({ input: stream });
    lines.on("line", (line) => {
      const { id, method } = line.startsWith("data: {") ? JSON.parse(line.slice(6)) : {};
      if (method && id !== undefined) this.#calls.set(`${session} ${id}`, call);
    });
    // A stream that breaks off asks no more.
    lines.on("error", () => {});
  }

  /** The call that a message answers a question of; the message itself, where it does not. */
  call(message, session) {
    const { id, result } = JSON.parse(message);
    return (result && (result.action ?? "accept") === "accept" && this.#calls.get(`${session} ${id}`)) || message;
  }
}

/** Stands before an HTTP upstream at `port`, and writes down every call; answers the server, which listens. */
export async function teeHttp(port, file, upstream) {
  const asked = new Asked();
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const session = request.headers["mcp-session-id"];
    if (request.method === "POST") arrived(file, upstream, asked.call(body.toString(), session));
    const headers = { ...request.headers, host: `127.0.0.1:${port}` };
    const on = http.request({ port, host: "127.0.0.1", path: request.url, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      if (request.method === "POST") asked.within(body.toString(), session, answer);
      answer.pipe(response);
    });
    on.on("error", () => response.destroy());
    response.on("close", () => on.destroy());
    on.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
