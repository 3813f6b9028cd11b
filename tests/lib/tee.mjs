// Stands before a stdio upstream and writes down every call that arrives there, before it is handed on:
// node tee.mjs ARRIVALS NAME COMMAND...
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { arrived } from "./arrivals.mjs";

const [file, name, command, ...words] = process.argv.slice(2);
const child = spawn(command, words, { stdio: ["pipe", "inherit", "inherit"] });
child.on("exit", (code) => process.exit(code ?? 1));
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  arrived(file, name, line);
  child.stdin.write(`${line}\n`);
});
lines.on("close", () => child.stdin.end());
