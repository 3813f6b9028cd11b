// The conformance suite of MCP as a server: stepup as the client of the suite's own servers, in what it says to upstreams.
// It passes each scenario of both requirement sets but what client.yml lists.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { NODE } from "../lib/peers.mjs";
import { failing, known, required, verdictsOfClient } from "./suite.mjs";

const COMMAND = `${NODE} ${join(import.meta.dirname, "client.mjs")}`;

for (const revision of ["2025-11-25", "2026-07-28"]) {
  const listed = known("client.yml", revision);
  const [fails, notRun] = ["fails", "not_run"].map((member) => listed.flatMap((entry) => entry[member] ?? []));
  const all = required(revision, "client");
  const run = all.filter((scenario) => !notRun.some((begins) => scenario.startsWith(begins)));

  // Each mostly waits for processes to start.
  describe(`an upstream of ${revision}`, { concurrency: 2 }, () => {
    test("the list names nothing that the suite does not have", () => {
      assert.deepEqual(notRun.filter((begins) => !all.some((scenario) => scenario.startsWith(begins))), []);
      assert.deepEqual(fails.filter((check) => !run.includes(check.slice(0, check.indexOf(":")))), []);
    });

    for (const scenario of run) {
      test(`hears from stepup what ${scenario} wants, but what is listed`, async () => {
        const found = await verdictsOfClient(COMMAND, revision, scenario);
        assert.ok(found.size > 1, "it has a check");
        const why = failing(found).map((check) => `${check}: ${found.get(check).said}`);
        assert.deepEqual(failing(found), fails.filter((check) => check.startsWith(`${scenario}:`)).sort(), why.join("\n"));
      });
    }
  });
}
