// The same calls directly and through stepup give the same answers, with both SDKs, to servers of others.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { teeHttp } from "../lib/arrivals.mjs";
import { CLIENTS, ENV, address, behind, program } from "../lib/clients.mjs";
import { Home } from "../lib/home.mjs";
import { NAMES } from "../lib/rich.mjs";
import { EVERYTHING, everythingHttp, files, folder, RICH, watched } from "../lib/upstreams.mjs";
import { comparable, everything, filesystem, seed } from "./matrix.mjs";

const OURS = ["stepup_run", "stepup_status", "stepup_preflight"];
const SENTENCE = /(\n\n)?May need: [^.]+\.$/;
const ALL_READ = { "*": { reviewed: "read-only" } };

/** An error as it was told. */
const told = ({ code, message, data }) => ({ error: { code, message, data } });

let home, key, http, tee, TARGETS;

before(async () => {
  home = await Home.make();
  const shared = folder(home, "files");
  http = await everythingHttp();
  tee = await teeHttp(http.port, home.arrivals, "http");
  const stdio = (name, command) => ({ command: watched(home, name, command), env: ENV, tools: ALL_READ });
  home.upstreams({
    stdio: stdio("stdio", EVERYTHING),
    files: stdio("files", files(shared)),
    rich: stdio("rich", RICH),
    http: { url: `http://127.0.0.1:${tee.address().port}/mcp`, tools: ALL_READ },
  });
  TARGETS = {
    stdio: { direct: program(...EVERYTHING), calls: [...everything, ["get-env", {}]], seed: () => {} },
    http: { direct: address(`http://127.0.0.1:${http.port}/mcp`), calls: [...everything, ["get-env", {}]], seed: () => {} },
    rich: { direct: program(...RICH), calls: NAMES.map((name) => [name, {}]), seed: () => {} },
    files: { direct: program(...files(shared)), calls: filesystem(shared), seed: () => seed(shared) },
  };
  await home.serve();
  key = await home.caller("reader");
  for (const tool of ["stdio/echo", "http/echo", "files/read_file", "rich/text"]) await home.pinned(tool);
});

after(async () => {
  tee?.closeAllConnections();
  tee?.close();
  http?.stop();
  await home?.remove();
});

for (const [sdk, Client] of Object.entries(CLIENTS)) {
  for (const upstream of ["stdio", "http", "files", "rich"]) {
    describe(`${sdk}, ${upstream}`, () => {
      let direct, through;

      before(async () => {
        const target = TARGETS[upstream];
        target.seed();
        direct = await Client.connect(target.direct);
        through = await Client.connect(behind(home, upstream, key));
      });

      after(async () => {
        await through?.close();
        await direct?.close();
      });

      test("lists the same tools, with two of ours, and one sentence of ours at most", async () => {
        const theirs = await direct.list();
        const listed = await through.list();
        assert.deepEqual(listed.filter(({ name }) => OURS.includes(name)).map(({ name }) => name), OURS);
        const shown = listed.filter(({ name }) => !OURS.includes(name))
          .map((tool) => ({ ...tool, description: tool.description?.replace(SENTENCE, "") }));
        const byName = (a, b) => (a.name < b.name ? -1 : 1);
        assert.deepEqual(shown.sort(byName), theirs.sort(byName));
      });

      test("gets the same answers", async () => {
        const { calls, seed: fresh } = TARGETS[upstream];
        const all = async (client) => {
          fresh();
          const answers = [];
          for (const [name, args] of calls) answers.push(await client.call(name, args).catch(told));
          return answers;
        };
        const [expected, got] = [await all(direct), await all(through)];
        calls.forEach(([name, args], i) => {
          assert.equal("error" in got[i], name.startsWith("error"), `${name}: ${JSON.stringify(got[i])}`);
          assert.deepEqual(comparable(got[i]), comparable(expected[i]), `${name} ${JSON.stringify(args).slice(0, 80)}`);
        });
      });

      if (["stdio", "http"].includes(upstream)) test("hears of the same progress", async () => {
        const heard = async (client) => {
          const all = [];
          await client.call("trigger-long-running-operation", { duration: 0.4, steps: 3 }, { onprogress: (p) => all.push(p) });
          // An SDK may lose the last one, which comes in one breath with the answer.
          return all.slice(0, 2).map(({ progress, total }) => ({ progress, total }));
        };
        assert.deepEqual(await heard(direct), [{ progress: 1, total: 3 }, { progress: 2, total: 3 }]);
        assert.deepEqual(await heard(through), await heard(direct));
      });

      test("is refused what does not fit a tool's schema, before anything arrives", async () => {
        const [name, args] = upstream === "files" ? ["read_file", { path: 7 }] : ["echo", { message: 7 }];
        if (upstream !== "rich") await assert.rejects(through.call(name, args), ({ code }) => code === -32602);
        await assert.rejects(through.call("no-such-tool", {}), ({ code }) => code === -32602);
      });
    });
  }
}

test("the checker finds one permit for each arrival, and the log verifies", async () => {
  const report = await home.judge({ canaries: [key] });
  const calls = Object.values(TARGETS).reduce((sum, { calls }) => sum + calls.length, 0);
  const watchedProgress = 2;
  assert.equal(report.arrivals, Object.keys(CLIENTS).length * (calls + watchedProgress));
});
