// The upstreams that the tests put behind stepup: the sample of the demo, and servers of others as npm packages.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { TESTS, freePort, until } from "./home.mjs";

const TEE = join(TESTS, "lib/tee.mjs");
const peer = (name) => join(TESTS, "peers/node_modules/@modelcontextprotocol", name, "dist/index.js");
export const EVERYTHING = [process.execPath, peer("server-everything"), "stdio"];
export const RICH = [process.execPath, join(TESTS, "lib/rich.mjs")];
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

/** server-everything over HTTP; answers its port and how to end it. */
export async function everythingHttp() {
  const port = await freePort();
  const child = spawn(process.execPath, [peer("server-everything"), "streamableHttp"], {
    stdio: "ignore", env: { ...process.env, PORT: String(port) },
  });
  await until("server-everything over HTTP", () => fetch(`http://127.0.0.1:${port}/mcp`).then(() => true, () => false));
  return { port, stop: () => child.kill() };
}

export function folder(home, name) {
  const path = join(home.outside, name);
  mkdirSync(path, { recursive: true });
  return path;
}
