// The upstreams that the tests put behind stepup: the sample of the demo, and servers of others as npm packages.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { TESTS, freePort, until } from "./home.mjs";
import { MODERN_PYTHON } from "./peers.mjs";

const TEE = join(TESTS, "lib/tee.mjs");
const peer = (name) => join(TESTS, "peers/node_modules/@modelcontextprotocol", name, "dist/index.js");
export const EVERYTHING = [process.execPath, peer("server-everything"), "stdio"];
export const RICH = [process.execPath, join(TESTS, "lib/rich.mjs")];
/** It keeps what it is told in this file. */
export const memory = (file) => ["env", `MEMORY_FILE_PATH=${file}`, process.execPath, peer("server-memory")];
/** The same server of both generations of fastmcp: the first speaks sessions only, the second both eras. */
const FASTMCP = join(TESTS, "lib/fastmcp_server.py");
export const FASTMCP_3 = [process.env.STEPUP_PYTHON, FASTMCP];
export const FASTMCP_4 = [MODERN_PYTHON, FASTMCP];
export const files = (folder) => [process.execPath, peer("server-filesystem"), folder];

/** Behind a tee that writes down what arrives. */
export const watched = (home, name, command) => [process.execPath, TEE, home.arrivals, name, ...command];

/** The sample upstream of the demo, with the settings of the demo. */
export const ops = (home) => ({
  command: [join(process.env.STEPUP_BIN, "stepup"), "sample-ops", "--database", join(home.outside, "ops.db"), "--arrivals", home.arrivals],
  environment: "production",
  tools: {
    "list_*": { reviewed: "read-only" },
    get_ticket: { reviewed: "read-only" },
    deploy: { reviewed: "acts", title: "Deploy {/service} {/version} to {/environment}" },
    set_secret: { reviewed: "acts", title: "Set the secret {/name}", secrets: ["/value"] },
  },
});

/** A server over HTTP at a free port, which it finds in `PORT` and as its last word; answers the port and how to end it. */
export async function overHttp([program, ...words]) {
  const port = await freePort();
  const child = spawn(program, [...words, String(port)], { stdio: "ignore", env: { ...process.env, PORT: String(port) } });
  await until(`${words.join(" ")} over HTTP`, () => fetch(`http://127.0.0.1:${port}/mcp`).then(() => true, () => false));
  return { port, stop: () => child.kill() };
}
export const everythingHttp = () => overHttp([process.execPath, peer("server-everything"), "streamableHttp"]);

export function folder(home, name) {
  const path = join(home.outside, name);
  mkdirSync(path, { recursive: true });
  return path;
}
