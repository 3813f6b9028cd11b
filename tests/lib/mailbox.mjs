// A real mail server with a certificate of its own, which does as it is told.
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { TESTS, freePort, until } from "./home.mjs";

/** A certificate of localhost that signs itself, in a folder; answers its files. */
export function certificate(folder, name = "localhost") {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
    "-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`, "-addext", "basicConstraints=critical,CA:FALSE",
  ], { stdio: "ignore" });
  return { cert, key };
}

export class Mailbox {
  /** Everything that happened, in order. */
  happened = [];

  static async open({ port, tls = "none", user = "", password = "", ...files } = {}) {
    const box = new Mailbox();
    box.port = port ?? (await freePort());
    const how = { port: box.port, tls, user, password, ...files };
    box.child = spawn(process.env.STEPUP_PYTHON, [join(TESTS, "lib/mailbox.py"), JSON.stringify(how)], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: box.child.stdout }).on("line", (line) => box.happened.push(JSON.parse(line)));
    await until("the mail server", () => box.happened.length > 0);
    return box;
  }

  /** What it does with what comes from now on. */
  async will(word) {
    const seen = this.happened.length;
    this.child.stdin.write(`${word}\n`);
    await until(`the mail server to ${word}`, () => this.happened.slice(seen).some(({ did }) => did === "will"));
  }

  did(word) {
    return this.happened.filter(({ did }) => did === word);
  }

  get taken() {
    return this.did("take");
  }

  close() {
    this.child.kill("SIGKILL");
  }
}

/** One header of a mail; fails where there are several. */
export function header({ headers }, name) {
  const all = headers.filter(([one]) => one.toLowerCase() === name.toLowerCase());
  if (all.length > 1) throw new Error(`${name} ${all.length} times`);
  return all[0]?.[1];
}
