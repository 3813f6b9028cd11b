// The error table as documented: docs/errors.md is what a developer reads, so it is what answers are held against.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import assert from "node:assert/strict";
import { TESTS } from "./home.mjs";
import { read } from "./agent.mjs";

const text = readFileSync(join(TESTS, "../docs/errors.md"), "utf8");
const ROW = /^## (\w+)\n\nHTTP (\d+) · JSON-RPC (-?\d+) · told as: (.+)\n\n(.+)\n(.+)$/gm;
export const ERRORS = Object.fromEntries([...text.matchAll(ROW)].map(
  ([, slug, http, code, told, happened, todo]) => [slug, { http: Number(http), code: Number(code), told, happened, todo }],
));

/** What of an answer refuses: `{ slug, message, told }`. */
function refused(answer) {
  const body = read(answer);
  const { error, result } = body;
  if (error?.slug) return { slug: error.slug, message: error.message, told: "HTTP status" };
  if (error) return { slug: error.data?.slug, message: error.message, code: error.code, told: "JSON-RPC error", id: body.id };
  const meta = result?._meta?.["dev.stepup/refusal"];
  if (meta) return { slug: meta.slug, message: result.content[0].text, told: "tool result", id: body.id };
  return assert.fail(`no refusal: ${answer.status} ${answer.text.slice(0, 300)}`);
}

/** That an answer refuses with this slug, in the documented form, saying what happened and what to do. */
export function assertRefused(answer, slug, { modern = false } = {}) {
  const row = ERRORS[slug];
  assert.ok(row, `${slug} is in docs/errors.md`);
  const got = refused(answer);
  assert.equal(got.slug, slug, answer.text.slice(0, 300));
  assert.ok(got.message.includes(row.happened) && got.message.includes(row.todo), `${slug}: ${got.message}`);
  if (got.code !== undefined) assert.equal(got.code, row.code);
  // What answers a request travels in an answer; what answers none, and in the modern era either, under its own status.
  assert.equal(answer.status, got.id === undefined || modern ? row.http : 200, slug);
  if (got.id !== undefined) assert.ok(row.told === got.told || row.told === "HTTP status" || got.told === "JSON-RPC error", `${slug} told as ${got.told}`);
  assert.match(answer.headers["content-type"], /^(application\/json|text\/event-stream)/);
}
