// OPA over the rules that judge_rate asks, as a Go program of its own; its version is in go.mod.
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";

const go = (...args) => execFileSync("go", args, { cwd: import.meta.dirname, stdio: ["ignore", "ignore", "inherit"] });

/** Its figures; none, said in a line, where there is no Go to build it with. */
export const opa = (target) => {
  try {
    go("version");
  } catch {
    console.log("opa is left out: there is no Go here");
    return {};
  }
  const program = resolve(target, "bench", "opa");
  go("build", "-mod=readonly", "-o", program, ".");
  return JSON.parse(execFileSync(program, { encoding: "utf8" }));
};
