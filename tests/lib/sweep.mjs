// One life after another, each ended at another place, until one is not ended any more.
// STEPUP_FAULTS=all takes every k; otherwise one in `stride`, beginning at another one each day.
import assert from "node:assert/strict";

const ALL = process.env.STEPUP_FAULTS === "all";
const DAY = Math.floor(Date.now() / 86_400_000);
/** Far more than a life has; a sweep that gets here never ends by itself. */
const TOO_MANY = 2000;

/** Every k, or one in `stride`, until `ended(k)` answers false; answers how many lives were ended. `said`: what the server said. */
export async function sweep(stride, ended, said) {
  const step = ALL ? 1 : stride;
  let crashes = 0;
  for (let k = ALL ? 1 : 1 + (DAY % stride); ; k += step) {
    assert.ok(k < TOO_MANY, "no life ends well");
    const was = await ended(k).catch((error) => { throw new Error(`k = ${k}: ${error.message}\n${said()}`, { cause: error }); });
    if (!was) return crashes;
    crashes += 1;
  }
}

/** Words before the command under which it is killed at the k-th of these system calls. */
export const killedAt = (calls, k) =>
  ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${calls}`, "-e", `inject=${calls}:signal=SIGKILL:when=${k}`];
