// One installation of stepup in a folder of its own: what `stepup init` wrote, edited, and served on free ports.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { Person } from "./person.mjs";

const run = promisify(execFile);
export const TESTS = resolve(import.meta.dirname, "..");
const BIN = process.env.STEPUP_BIN;
assert.ok(BIN, "STEPUP_BIN names the folder of the binaries; ./dev sets it");

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `look` answers something; fails after a while, and says what was waited for. */
export async function until(what, look, ms = 20_000) {
  for (const end = Date.now() + ms; ; await sleep(20)) {
    const seen = await look();
    if (seen) return seen;
    assert.ok(Date.now() < end, `waited ${ms} ms for ${what}`);
  }
}

/** A port that is free now on both loopback addresses. */
export async function freePort() {
  const bind = (port, host) => new Promise((done, failed) => {
    const server = net.createServer().once("error", failed).listen(port, host, () => done(server));
  });
  // Below the ports that the system hands out by itself: nobody's outgoing connection takes it meanwhile.
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const both = await Promise.all(["127.0.0.1", "::1"].map((host) => bind(port, host).catch((error) => error)));
    const taken = both.some((one) => one.code === "EADDRINUSE");
    await Promise.all(both.map((one) => one instanceof net.Server && new Promise((done) => one.close(done))));
    if (!taken) return port;
  }
}

/** A value as TOML; JSON's strings, numbers and lists are TOML's too. */
const table = (name, members) =>
  `[${name}]\n${Object.entries(members).map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join("\n")}\n`;

export class Home {
  /**
   * `upstreams`: what of a home makes its upstreams. `challenge`, `log`: members of
   * those tables.
   * `bin`: the folder of the binary that serves; the checker and the command line are always those of STEPUP_BIN.
   * `within`: the folder that it is made in.
   */
  static async make({ upstreams = () => ({}), challenge = {}, log = {}, bin = BIN, within = tmpdir() } = {}) {
    const root = mkdtempSync(join(within, "stepup-test-"));
    const home = new Home();
    Object.assign(home, { root, bin, folder: join(root, "stepup"), outside: join(root, "outside") });
    mkdirSync(home.outside);
    home.config = join(home.folder, "stepup.toml");
    home.arrivals = join(home.outside, "arrivals.jsonl");
    home.stderr = join(root, "serve.err");
    await run(join(BIN, "stepup"), ["init", "--team", home.folder]);
    const ports = { agents: await freePort(), people: await freePort(), operations: await freePort() };
    home.agentsUrl = `http://127.0.0.1:${ports.agents}`;
    home.peopleUrl = `http://localhost:${ports.people}`;
    home.operationsUrl = `http://127.0.0.1:${ports.operations}`;
    home.edit('# listen = "127.0.0.1:7300"', `listen = "127.0.0.1:${ports.agents}"`);
    home.edit('# listen = "localhost:7301"', `listen = "localhost:${ports.people}"`);
    home.edit('# listen = "127.0.0.1:7302"', `listen = "127.0.0.1:${ports.operations}"`);
    for (const [key, value] of Object.entries({ ...challenge, ...log })) {
      home.edit(new RegExp(`^# ${key} = .*$`, "m"), `${key} = ${JSON.stringify(value)}`);
    }
    home.upstreams(upstreams(home));
    return home;
  }

  /** Adds upstreams to the configuration: name to settings, `tools` among them. */
  upstreams(all) {
    for (const [name, { tools = {}, ...settings }] of Object.entries(all)) {
      this.edit(/$/, `\n${table(`upstreams.${name}`, settings)}`);
      for (const [tool, said] of Object.entries(tools)) {
        this.edit(/$/, table(`upstreams.${name}.tools.${JSON.stringify(tool)}`, said));
      }
    }
  }

  /** Changes the configuration; what is to be changed must be there. */
  edit(from, to) {
    const text = readFileSync(this.config, "utf8");
    const changed = text.replace(from, () => to);
    assert.notEqual(changed, text, `${from} is not in stepup.toml`);
    writeFileSync(this.config, changed);
  }

  /** Its policy permits everything but what these rules stop. */
  permitEverything(rules = "") {
    writeFileSync(join(this.folder, "policies/starter.cedar"), `@id("everything")\npermit (principal, action, resource);\n${rules}`);
  }

  /** Serves until it is ready. `under`: words before the command, as in ["strace", "-f"]; `words`: behind it. */
  async serve({ env = {}, under = [], words = [], ready = true } = {}) {
    const all = [...under, join(this.bin, "stepup"), "--config", this.config, "serve", ...words];
    const stderr = openSync(this.stderr, "a");
    this.process = spawn(all[0], all.slice(1), {
      stdio: ["ignore", "ignore", stderr], env: { ...process.env, ...env }, cwd: this.root,
    });
    closeSync(stderr);
    this.ended = new Promise((done) => this.process.once("exit", (code, signal) => done({ code, signal })));
    if (ready) await this.ready();
  }

  /** Waits until it serves; fails at once if it ends instead. */
  async ready() {
    await until("the server to be ready", async () => {
      assert.ok(this.alive, `it ended: ${this.said()}`);
      return (await this.operations("/readyz")).status === 200;
    });
  }

  async operations(path) {
    return fetch(this.operationsUrl + path).then(async (a) => ({ status: a.status, text: await a.text() }), () => ({ status: 0, text: "" }));
  }

  async stop(signal = "SIGTERM") {
    if (!this.process) return;
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    const how = await this.ended;
    this.process = null;
    return how;
  }

  get alive() {
    return this.process?.exitCode === null && this.process.signalCode === null;
  }

  said() {
    return readFileSync(this.stderr, "utf8");
  }

  /** A verb of the command line; answers its JSON. */
  async cli(...words) {
    const { code, stdout, stderr } = await this.saidBy("--json", ...words);
    assert.equal(code, 0, `stepup ${words.join(" ")}: exit ${code}: ${stdout}${stderr}`);
    return JSON.parse(stdout);
  }

  /** The command line as people meet it: `{ code, stdout, stderr }`. */
  saidBy(...words) {
    return run(join(BIN, "stepup"), ["--config", this.config, ...words], { maxBuffer: 1 << 26 })
      .then((said) => ({ code: 0, ...said }), ({ code, stdout, stderr }) => ({ code, stdout, stderr }));
  }

  async caller(name, { owner = "robin", groups = ["ops-agents"], kind = "agent" } = {}) {
    const { humans } = await this.cli("human", "list");
    if (!humans.some(({ human }) => human === owner)) await this.cli("human", "invite", owner);
    const { key } = await this.cli("caller", "add", name, "--owner", owner, "--kind", kind, ...groups.flatMap((group) => ["--group", group]));
    return key;
  }

  /** Somebody who can approve, with a passkey in software. */
  async person(name = "alice", group = "release-managers") {
    const { link } = await this.cli("human", "invite", name, "--group", group);
    return Person.enrol(link);
  }

  /** Waits until the first contact with an upstream has pinned a tool. */
  async pinned(tool) {
    await until(`${tool} to be pinned`, async () => (await this.cli("upstream", "list")).tools.some((one) => one.tool === tool));
  }

  async pending() {
    const { requests } = await this.cli("requests", "list");
    return requests.filter(({ state }) => state === "pending");
  }

  /** Everything that this installation ever wrote, for canaries: its store, its log, what the server said. */
  outputs() {
    const store = readdirSync(this.folder).filter((name) => name.startsWith("stepup.db")).map((name) => join(this.folder, name));
    return [...store, this.stderr];
  }

  /**
   * Exports the log, verifies it, and has the independent checker judge the run: what arrived at upstreams,
   * and that no canary is in any output. Answers the checker's report.
   */
  async judge({ canaries = [], arrivals = this.arrivals, inFlight = 0 } = {}) {
    // Outcomes are collected for 10 ms before they are written.
    if (this.alive) await sleep(100);
    const file = join(this.root, `log-${Date.now()}.jsonl`);
    const { key } = await this.cli("log", "export", file);
    const verified = await this.cli("log", "verify", file, "--key", key);
    assert.equal(verified.verified, true);
    writeFileSync(arrivals, "", { flag: "a" });
    const words = ["--log", file, "--key", key, "--arrivals", arrivals, "--in-flight", String(inFlight)];
    if (canaries.length > 0) {
      const list = join(this.root, "canaries");
      writeFileSync(list, `${canaries.join("\n")}\n`);
      words.push("--canaries", list, ...this.outputs().flatMap((output) => ["--scan", output]));
    }
    const { stdout } = await run(join(BIN, "stepup-checker"), words, { maxBuffer: 1 << 26 }).catch((e) => e);
    assert.ok(stdout, "the checker said nothing");
    const report = JSON.parse(stdout);
    assert.ok(report.holds, `the checker: ${JSON.stringify(report.verdicts.filter(({ holds }) => !holds), null, 1)}`);
    return report;
  }

  /** Keeps everything as it is now, for `restore`. Nothing may be running. */
  keep() {
    cpSync(this.root, `${this.root}.kept`, { recursive: true, preserveTimestamps: true });
  }

  restore() {
    rmSync(this.root, { recursive: true, force: true });
    cpSync(`${this.root}.kept`, this.root, { recursive: true, preserveTimestamps: true });
  }

  async remove() {
    await this.stop("SIGKILL");
    for (const folder of [this.root, `${this.root}.kept`]) rmSync(folder, { recursive: true, force: true });
  }
}
