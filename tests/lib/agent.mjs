// The least MCP client: requests as bytes, so that tests can also send what no SDK would.
import http from "node:http";

/** One HTTP request, whole; answers status, headers and text. `headers` may repeat a name by a list; `from` is an address of ours. */
export function raw(url, { method = "POST", headers = {}, body, timeout = 70_000, from } = {}) {
  return new Promise((done, failed) => {
    const request = http.request(url, { method, headers, timeout, agent: false, localAddress: from }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("error", failed);
      answer.on("end", () => done({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() }));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeout} ms`)));
    request.on("error", failed);
    request.end(body);
  });
}

/** The JSON of an answer, or the last message of its event stream. */
export function read({ headers, text }) {
  if (!headers["content-type"]?.startsWith("text/event-stream")) return text ? JSON.parse(text) : null;
  const data = text.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).filter(Boolean);
  return JSON.parse(data.at(-1));
}

export class Agent {
  #id = 0;

  /** Opens a session with an upstream, of one revision of MCP. */
  static async open(home, upstream, key, revision = "2025-11-25") {
    const agent = new Agent();
    agent.url = `${home.agentsUrl}/mcp/${upstream}`;
    agent.headers = { authorization: `Bearer ${key}`, "content-type": "application/json", accept: "application/json, text/event-stream" };
    const params = { protocolVersion: revision, capabilities: {}, clientInfo: { name: "stepup-tests", version: "1" } };
    const answer = await agent.post({ jsonrpc: "2.0", id: agent.next(), method: "initialize", params });
    agent.headers["mcp-session-id"] = answer.headers["mcp-session-id"];
    agent.headers["mcp-protocol-version"] = read(answer).result.protocolVersion;
    await agent.post({ jsonrpc: "2.0", method: "notifications/initialized" });
    return agent;
  }

  next() {
    this.#id += 1;
    return this.#id;
  }

  post(message, headers = {}) {
    const body = typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message);
    return raw(this.url, { headers: { ...this.headers, ...headers }, body });
  }

  async request(method, params = {}) {
    return read(await this.post({ jsonrpc: "2.0", id: this.next(), method, params }));
  }

  /** A call's result; a JSON-RPC error is thrown. */
  async call(name, args = {}) {
    const { result, error } = await this.request("tools/call", { name, arguments: args });
    if (error) throw Object.assign(new Error(error.message), error);
    return result;
  }
}

/** The data block of a stopped call. */
export const challenge = (result) => result._meta?.["dev.stepup/challenge"];
export const refusal = (result) => result._meta?.["dev.stepup/refusal"];
export const words = (result) => result.content.map(({ text }) => text).join("\n");
