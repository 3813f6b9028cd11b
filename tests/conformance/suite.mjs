// The suite against an address, and what it found: `scenario:check` to `pass` or `fail`.
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { parse } from "yaml";
import { NODE } from "../lib/peers.mjs";

const here = import.meta.dirname;
const SUITE = join(here, "node_modules/@modelcontextprotocol/conformance");

/** What a revision's set runs against a side, "server" or "client", by name; those that do not count among them. */
export function required(revision, side) {
  const { not_scored, ...scored } = parse(readFileSync(join(SUITE, `requirements/${revision}.yaml`), "utf8"));
  return [...scored[side], ...not_scored.filter(({ leg }) => leg === side).map(({ scenario }) => scenario)];
}

/** A program that listens at the port in its last word; says when it does. */
export async function listening(command, ...words) {
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
  const stop = () => child.kill();
  await new Promise((done, failed) => {
    createInterface({ input: child.stdout }).once("line", done);
    child.once("exit", (code) => failed(new Error(`${words.join(" ")}: exit ${code}`)));
  });
  return stop;
}

/** Adds a caller's key to every request, and nothing else: the suite has no way to send one. */
export async function shim(port, to, key) {
  const server = http.createServer((request, response) => {
    const headers = [...request.rawHeaders, "authorization", `Bearer ${key}`];
    const on = http.request(to, { path: request.url, method: request.method, headers, setHost: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
    });
    on.on("error", () => response.destroy());
    response.on("close", () => on.destroy());
    request.pipe(on);
  });
  // The port was free; whoever took it since is an error, and not a test that waits for ever.
  await new Promise((done, failed) => server.once("error", failed).listen(port, done));
  return () => {
    server.closeAllConnections();
    server.close();
  };
}

const GOOD = new Set(["SUCCESS", "INFO"]);
const BAD = new Set(["FAILURE", "WARNING"]);

/** Runs the suite; answers what it said. Its exit code says that something failed; which is read from what it wrote. */
const run = (...words) =>
  promisify(execFile)(NODE, [join(SUITE, "dist/index.js"), ...words], { maxBuffer: 1 << 26, timeout: 300_000 }).catch((error) => error);

/** A folder for what the suite writes, while it is read. */
async function written(read) {
  const out = mkdtempSync(join(tmpdir(), "stepup-conformance-"));
  try {
    return await read(out);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/**
 * Enters a scenario's checks from the folder whose name begins so. A check that comes several times passes if it does so each
 * time; one that was skipped is neither.
 */
function enter(found, scenario, out, name, said) {
  const folder = readdirSync(out).find((one) => one.startsWith(`${name}-2`));
  if (!folder) throw new Error(`${scenario} did not run: ${said}`);
  const checks = join(out, folder, "checks.json");
  const ended = existsSync(checks) ? JSON.parse(readFileSync(checks, "utf8")) : [{ id: "ended", status: "FAILURE", errorMessage: "it threw" }];
  for (const { id, status, errorMessage } of ended) {
    const check = `${scenario}:${id}`;
    if (BAD.has(status)) found.set(check, { failed: true, said: errorMessage });
    else if (GOOD.has(status) && !found.has(check)) found.set(check, { failed: false });
  }
}

/** Runs a revision's set against a server, or these scenarios of it. */
export const verdicts = (url, revision, scenarios) => written(async (out) => {
  const found = new Map();
  const words = ["server", "--url", url, "-o", out];
  const one = (scenario) => run(...words, "--scenario", scenario, "--spec-version", revision);
  const { stdout } = scenarios ? (await Promise.all(scenarios.map(one)))[0] : await run(...words, "--requirements", revision);
  for (const scenario of scenarios ?? required(revision, "server")) enter(found, scenario, out, `server-${scenario}`, stdout);
  return found;
});

/** Runs one scenario against a client, started by a command. That the command itself failed is a check too. */
export const verdictsOfClient = (command, revision, scenario) => written(async (out) => {
  const found = new Map();
  const { stderr } = await run("client", "--command", command, "--scenario", scenario, "--spec-version", revision, "-o", out);
  enter(found, scenario, out, scenario, stderr);
  const broke = /Client (exited with code|timed out)/.test(stderr);
  return found.set(`${scenario}:command`, { failed: broke, said: stderr });
});

/** What fails, in the order of names. */
export const failing = (found) => [...found].filter(([, { failed }]) => failed).map(([check]) => check).sort();

/** What passes directly and not through, or fails through only. */
export function worse(direct, through) {
  const lost = [...direct].filter(([check, { failed }]) => !failed && (through.get(check)?.failed ?? true)).map(([check]) => check);
  const added = failing(through).filter((check) => !direct.has(check));
  return [...new Set([...lost, ...added])].sort();
}

/**
 * A list of what is known to fail, held against what does: `unlisted`, and `stale` entries that nothing fails for.
 * An entry names a check, or a scenario for all of its checks.
 */
export function against(list, checks) {
  const entries = list.flatMap(({ fails }) => fails);
  const covers = (entry, check) => entry === check || entry === check.slice(0, check.indexOf(":"));
  return {
    unlisted: checks.filter((check) => !entries.some((entry) => covers(entry, check))),
    stale: entries.filter((entry) => !checks.some((check) => covers(entry, check))),
  };
}

/** What a list has for a revision, as far as it is for this fixture and this revision spoken with it: `at`. */
export const known = (list, revision, at = {}) =>
  parse(readFileSync(join(here, list), "utf8"))[revision].filter((entry) =>
    Object.entries(at).every(([name, value]) => (entry[name] ?? value) === value));
