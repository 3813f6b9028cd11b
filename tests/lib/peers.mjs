// What is installed of others by lock files of its own: clients of the SDKs 2.x, which speak both eras, behind the face
// of clients.mjs. `mode` chooses the era: "legacy", "auto", or the revision that is pinned.
import { execFile } from "node:child_process";
import { arch } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Driven, agreed } from "./clients.mjs";
import { TESTS } from "./home.mjs";

const MODERN = join(TESTS, "peers-modern");
export const MODERN_PYTHON = join(MODERN, ".venv/bin/python");
/** The Node that the suite and the inspector need, newer than Debian's. */
export const NODE = join(TESTS, `conformance/node_modules/node-linux-${arch()}/bin/node`);
export const PINNED = "2026-07-28";

const CALL_WITHIN_MS = 60_000;

class TypeScript2 {
  static async connect({ command, args, url, headers, mode, onask, capabilities = onask ? { elicitation: { url: {}, form: {} } } : {} }) {
    const sdk = (module) => import(join(MODERN, "node_modules/@modelcontextprotocol/client/dist", module));
    const [{ Client, StreamableHTTPClientTransport }, { StdioClientTransport }] = [await sdk("index.mjs"), await sdk("stdio.mjs")];
    const versionNegotiation = { mode: mode === PINNED ? { pin: PINNED } : mode };
    const client = new Client({ name: "stepup-tests", version: "1" }, { versionNegotiation, capabilities });
    if (onask) client.setRequestHandler("elicitation/create", ({ params }) => (onask(params), agreed(params)));
    const transport = command
      ? new StdioClientTransport({ command, args, stderr: "ignore" })
      : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
    await client.connect(transport);
    return Object.assign(new TypeScript2(), { client, transport });
  }

  async list() {
    return (await this.client.listTools()).tools;
  }

  call(name, args, { _meta, ...how } = {}) {
    return this.client.callTool({ name, arguments: args, _meta }, { timeout: CALL_WITHIN_MS, resetTimeoutOnProgress: true, ...how });
  }

  revision() {
    return this.client.getNegotiatedProtocolVersion();
  }

  async close() {
    await this.transport.terminateSession?.();
    await this.client.close();
  }
}

/** The inspector's command line: a process, a connection and one request each time. Which revision it spoke it keeps to itself. */
class Inspector {
  static async connect(target) {
    const inspector = Object.assign(new Inspector(), { target });
    await inspector.list();
    return inspector;
  }

  async #run(...words) {
    const { url, headers, mode } = this.target;
    const era = mode === PINNED ? "modern" : mode;
    const keys = Object.entries(headers).flatMap(([name, value]) => ["--header", `${name}: ${value}`]);
    const launcher = join(MODERN, "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");
    const all = [launcher, "--cli", "--transport", "http", "--server-url", url, ...keys, "--protocol-era", era, "-q", "--format", "json", ...words];
    // A tool that fails has an exit code, and the result is told all the same.
    const { stdout, stderr } = await promisify(execFile)(NODE, all, { maxBuffer: 1 << 26, timeout: CALL_WITHIN_MS }).catch((error) => error);
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout).result;
  }

  async list() {
    return (await this.#run("--method", "tools/list")).tools;
  }

  call(name, args) {
    return this.#run("--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(args));
  }

  revision() {}

  close() {}
}

const driven = (...program) => ({ connect: (target) => Driven.by(program, target) });
const python = (which) => driven(MODERN_PYTHON, join(MODERN, "client.py"), which);

export const MODERN_CLIENTS = {
  "TypeScript SDK 2": TypeScript2,
  "Python SDK 2": python("mcp"),
  fastmcp: python("fastmcp"),
  rmcp: driven(join(process.env.STEPUP_BIN, "rmcp-client")),
  "inspector CLI": Inspector,
};
