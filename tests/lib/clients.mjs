// The two official SDKs of the 1.x line behind one face, so that every test runs with both:
// list() · call(name, args, { onprogress }) · version() · revision() · close()
// Connecting with `only: revision` makes of it a client that speaks that one revision of MCP; with `onask`, one that can
// ask its person, who agrees at once: it is told of what; with `capabilities`, one that says that it has these.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { TESTS } from "./home.mjs";

/** Where a client connects: a program, or an address with perhaps a key. */
export const program = (command, ...args) => ({ command, args });
export const address = (url, key) => ({ url, headers: key ? { authorization: `Bearer ${key}` } : {} });
export const behind = (home, upstream, key) => address(`${home.agentsUrl}/mcp/${upstream}`, key);

/** What a program is given of our environment, by either SDK and by stepup's `env`. */
export const ENV = ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];
const environment = () => Object.fromEntries(ENV.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));

/** What a person who agrees says of whatever a form wants; the clients that are programs of their own say the same. */
export const SAID = "a person said so";

/** The answer of a person who agrees: an address needs no more, a form is filled in. */
export const agreed = ({ requestedSchema }) => {
  const content = requestedSchema && Object.fromEntries(requestedSchema.required.map((name) => [name, SAID]));
  return { action: "accept", ...(content && { content }) };
};

/** A call may be held for a while: longer than any hold that the tests set. */
const CALL_WITHIN_MS = 60_000;

class TypeScript {
  static async connect({ command, args, url, headers, only, onask, capabilities = onask ? { elicitation: { url: {}, form: {} } } : {} }) {
    const client = new Client({ name: "stepup-tests", version: "1" }, { capabilities });
    if (onask) client.setRequestHandler(ElicitRequestSchema, ({ params }) => (onask(params), agreed(params)));
    const transport = command
      ? new StdioClientTransport({ command, args, env: environment(), stderr: "ignore" })
      : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
    const typescript = Object.assign(new TypeScript(), { client, transport });
    const greeting = typescript.#greet(transport, only);
    await client.connect(transport);
    typescript.spoken = await greeting;
    assert.ok(!only || typescript.spoken === only, `the server speaks ${typescript.spoken}`);
    return typescript;
  }

  /** Asks for one revision instead of the SDK's newest, which cannot be chosen; answers what was answered. */
  #greet(transport, only) {
    const send = transport.send.bind(transport);
    transport.send = (message, options) => {
      const asks = only && message.method === "initialize";
      return send(asks ? { ...message, params: { ...message.params, protocolVersion: only } } : message, options);
    };
    return new Promise((done) => {
      let hear;
      const heard = (message, extra) => {
        if (message.result?.protocolVersion) done(message.result.protocolVersion);
        return hear(message, extra);
      };
      Object.defineProperty(transport, "onmessage", { get: () => hear && heard, set: (to) => { hear = to; } });
    });
  }

  async list() {
    const tools = [];
    let cursor;
    do {
      const page = await this.client.listTools({ cursor });
      tools.push(...page.tools);
      cursor = page.nextCursor;
    } while (cursor);
    return tools;
  }

  call(name, args, how) {
    return this.client.callTool({ name, arguments: args }, undefined, { timeout: CALL_WITHIN_MS, resetTimeoutOnProgress: true, ...how });
  }

  version() {
    return this.client.getServerVersion();
  }

  revision() {
    return this.spoken;
  }

  async close() {
    await this.transport.terminateSession?.();
    await this.client.close();
  }
}

/** A client in a program of its own, which takes lines of JSON and answers them. */
export class Driven {
  #asked = new Map();
  #id = 0;

  /** `program`: the client's command. */
  static async by(program, target) {
    const driven = new Driven();
    driven.child = spawn(program[0], program.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    driven.ended = new Promise((done) => driven.child.once("exit", done));
    driven.ended.then(() => driven.#asked.forEach(({ failed }) => failed(new Error(`${program.join(" ")} ended`))));
    createInterface({ input: driven.child.stdout }).on("line", (line) => driven.#heard(JSON.parse(line)));
    const { onask, ...rest } = target;
    const env = target.command ? { env: environment() } : {};
    driven.onask = onask;
    const { server, revision } = await driven.#ask("connect", { ...rest, ...env, asks: Boolean(onask) });
    return Object.assign(driven, { server, spoken: revision });
  }

  #heard({ id, progress, asked, result, error }) {
    if (asked) return this.onask(asked);
    const { done, failed, onprogress } = this.#asked.get(id);
    if (progress) return onprogress?.(progress);
    this.#asked.delete(id);
    if (error) failed(Object.assign(new Error(error.message), error));
    else done(result);
  }

  #ask(what, params = {}, onprogress) {
    this.#id += 1;
    const id = this.#id;
    this.child.stdin.write(`${JSON.stringify({ id, what, ...params })}\n`);
    return new Promise((done, failed) => this.#asked.set(id, { done, failed, onprogress }));
  }

  list() {
    return this.#ask("list");
  }

  call(name, args, { onprogress } = {}) {
    return this.#ask("call", { name, arguments: args, progress: Boolean(onprogress), within_ms: CALL_WITHIN_MS }, onprogress);
  }

  version() {
    return this.server;
  }

  revision() {
    return this.spoken;
  }

  async close() {
    this.child.stdin.end();
    await this.ended;
  }
}

const Python = { connect: (target) => Driven.by([process.env.STEPUP_PYTHON, join(TESTS, "sdk/client.py")], target) };

export const CLIENTS = { "TypeScript SDK": TypeScript, "Python SDK": Python };
