// What docs/compatibility.md says was tried, and what the lock files pin: tests hold one against the other.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TESTS } from "./home.mjs";

const page = readFileSync(join(TESTS, "../docs/compatibility.md"), "utf8");

/** The rows of the first table under a heading: lists of cells. */
export function table(heading) {
  const [, below] = page.split(`\n## ${heading}\n`);
  assert.ok(below, `docs/compatibility.md has a part "${heading}"`);
  const lines = /(\n\|.*)+/.exec(below)[0].trim().split("\n");
  return lines.slice(2).map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
}

/** The version of a package that a lock file in tests/ pins. */
export function pinned(lock, name) {
  const text = readFileSync(join(TESTS, lock), "utf8");
  const version = lock.endsWith(".json")
    ? JSON.parse(text).packages[`node_modules/${name}`]?.version
    : new RegExp(`^(?:${name}==|name = "${name}"\nversion = ")([^\\s"]+)`, "m").exec(text)?.[1];
  assert.ok(version, `${lock} pins ${name}`);
  return version;
}
