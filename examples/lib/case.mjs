// One of the cases, installed and served in a folder of its own: its rules and requirements from `policies/`, its
// upstreams from `upstreams.toml` beside it, each with the case's database.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Agent, challenge, refusal, words } from "../../tests/lib/agent.mjs";
import { Home } from "../../tests/lib/home.mjs";
import { overHttp, watched } from "../../tests/lib/upstreams.mjs";

export { sleep, until } from "../../tests/lib/home.mjs";

const POLICIES = resolve(import.meta.dirname, "../../policies");
const read = (...path) => readFileSync(join(...path), "utf8");

export class Case {
  /**
   * `people`: name to group, each with a passkey in software. `requirements`: what of their text is changed, so that
   * nobody waits for a quarter of an hour. The people come first: some rules let nobody add one alone. `api`: the case has an HTTP
   * API too, which writes down itself what arrives. `env`: what the server finds in its environment.
   * `rules`: what of the rules and their scenarios is changed.
   */
  static async install(folder, policy, { people = {}, caller, requirements = (text) => text, api = false, env = {}, rules = (text) => text } = {}) {
    const one = new Case();
    const home = (one.home = await Home.make({ challenge: { hold: "1s" } }));
    one.database = join(home.outside, "case.db");
    if (api) one.api = await overHttp([process.env.STEPUP_PYTHON, join(folder, "server.py"), "api", one.database, home.arrivals]);
    one.env = env;
    home.edit(/$/, `\n${requirements(read(POLICIES, `${policy}.requirements.toml`))}`);
    one.folder = folder;
    home.edit(/$/, `\n${one.#upstreams(join(folder, "upstreams.toml"))}`);
    await one.serve();
    for (const [name, group] of Object.entries(people)) one[name] = await home.person(name, group);
    const { name, owner, group, kind } = caller;
    one.key = await home.caller(name, { owner, groups: [group], kind });
    await one.#enforce(policy, rules);
    return one;
  }

  serve() {
    return this.home.serve({ env: this.env });
  }

  async #enforce(policy, rules) {
    const inForce = join(this.home.folder, "policies");
    for (const starter of readdirSync(inForce)) rmSync(join(inForce, starter));
    for (const ending of ["cedar", "scenarios.yaml"]) {
      writeFileSync(join(inForce, `${policy}.${ending}`), rules(read(POLICIES, `${policy}.${ending}`)));
    }
    // Of the terms that this case has: some are shorter here than in the set, so that a play can outlast them.
    await this.home.cli("policy", "test", "--update");
    this.policy = join(inForce, `${policy}.cedar`);
    await this.home.cli("policy", "activate");
  }

  /** As the file says, with the words in braces filled in, and with a witness of what arrives. */
  #upstreams(file) {
    const fill = { python: process.env.STEPUP_PYTHON, here: this.folder, database: this.database, port: this.api?.port };
    const text = read(file).replace(/\{(python|here|database|port)\}/g, (_, word) => fill[word]);
    return text.replace(/^(\[upstreams\.(\w+)\]\ncommand = )(\[.*\])$/gm, (_, before, name, command) =>
      before + JSON.stringify(watched(this.home, name, JSON.parse(command))));
  }

  /** A session of the case's own caller, or of who has another key, with an upstream. */
  on(upstream, key = this.key) {
    return Agent.open(this.home, upstream, key);
  }

  /** What the database behind the upstreams holds: the truth about what was done. */
  rows(query) {
    const said = execFileSync("sqlite3", ["-json", this.database, query], { encoding: "utf8" });
    return said ? JSON.parse(said) : [];
  }

  /** More rules, in force as `stepup policy activate` puts them. */
  async alsoRules(text) {
    writeFileSync(this.policy, `${readFileSync(this.policy, "utf8")}\n${text}`);
    await this.home.cli("policy", "activate");
  }

  /** More upstreams, there after a restart: who signed in does so again. */
  async alsoUpstreams(file) {
    await this.home.stop();
    this.home.edit(/$/, `\n${this.#upstreams(file)}`);
    await this.serve();
  }

  remove() {
    this.api?.stop();
    return this.home?.remove();
  }
}

/** A call that is stopped: which request it opened, and what it asks of people. */
export async function stopped(agent, tool, args) {
  const result = await agent.call(tool, args);
  const said = challenge(result);
  if (!said) throw new Error(`${tool} was not stopped: ${JSON.stringify(result)}`);
  return said;
}

/** The request that it opened, with what the agent then says of why. */
export async function asked(agent, tool, args, why = {}) {
  const { elevation } = await stopped(agent, tool, args);
  await agent.call("stepup_run", { elevation, ...why });
  return elevation;
}

/** A call that runs; answers its words. */
export async function ran(agent, tool, args) {
  const result = await agent.call(tool, args);
  if (result.isError || challenge(result)) throw new Error(`${tool} did not run: ${words(result)}`);
  return words(result);
}

/** A call that policy denies; answers the slug of docs/errors.md. */
export const denied = async (agent, tool, args) => refusal(await agent.call(tool, args))?.slug;
