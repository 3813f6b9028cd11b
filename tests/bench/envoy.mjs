// Envoy that asks stepup over gRPC: the checks alone, asked by h2load, and requests past Envoy without and with them.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { join, resolve } from "node:path";
import { TESTS, freePort, sleep } from "../lib/home.mjs";
import { REQUEST } from "./apis.mjs";

const CHECK = "/envoy.service.auth.v3.Authorization/Check";

/** A field of protobuf that has a length. All are short. */
const field = (number, content) => {
  const bytes = Buffer.from(content);
  const length = bytes.length < 128 ? [bytes.length] : [bytes.length & 127 | 128, bytes.length >> 7];
  return Buffer.concat([Buffer.from([number << 3 | 2, ...length]), bytes]);
};

/** The question whether that request may pass, as Envoy asks it (crates/envoy/src/wire.rs has the numbers). */
const question = (key) => {
  const header = ([name, value]) => field(1, Buffer.concat([field(1, name), field(3, value)]));
  const headers = [[":method", "GET"], [":path", REQUEST], ["authorization", `Bearer ${key}`], ["accept", "*/*"], ["x-request-id", "4b54d8f4-61ef-4138-9b13-0f3e1f4c2581"]];
  const request = Buffer.concat([field(2, "GET"), field(4, REQUEST), field(13, Buffer.concat(headers.map(header)))]);
  const upstream = field(10, Buffer.concat([field(1, "upstream"), field(2, "api")]));
  const message = field(1, Buffer.concat([field(4, field(2, request)), upstream]));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
};

/** What one question is answered: a yes, or it throws. */
const answered = (port, frame) => new Promise((done, failed) => {
  const session = http2.connect(`http://127.0.0.1:${port}`).once("error", failed);
  const stream = session.request({ ":method": "POST", ":path": CHECK, "content-type": "application/grpc", te: "trailers" });
  const parts = [];
  stream.on("data", (part) => parts.push(part)).once("error", failed).once("end", () => {
    session.close();
    const answer = Buffer.concat(parts);
    if (!answer.includes("stepup-attempt")) failed(new Error(`it was refused: ${answer}`));
    else done(answer);
  }).end(frame);
});

/** Checks of one connection and of 32 at once on four: each was answered with as many bytes as the yes before. */
export async function checks(home, port, key, seconds) {
  const frame = question(key);
  const yes = (await answered(port, frame)).length;
  const [data, log] = [join(home, "check.bin"), join(home, "check.log")];
  writeFileSync(data, frame);
  const load = (connections, streams) => {
    rmSync(log, { force: true });
    const words = ["-c", connections, "-m", streams, "-D", seconds, "-d", data, "-H", "content-type: application/grpc", "-H", "te: trailers", "--log-file", log];
    const out = execFileSync("h2load", [...words.map(String), `http://127.0.0.1:${port}${CHECK}`], { encoding: "utf8" });
    const [, done, failed] = out.match(/requests: .* (\d+) succeeded, (\d+) failed/);
    const bytes = Number(out.match(/\((\d+)\) data/)[1]);
    // What was in flight when the time was up has been answered in part.
    if (Number(failed) > 0 || bytes < done * yes || bytes > (Number(done) + connections * streams) * yes) throw new Error(`not every answer is a yes\n${out}`);
    const times = readFileSync(log, "utf8").trim().split("\n").map((line) => Number(line.split("\t")[2])).sort((a, b) => a - b);
    return { p50: times[times.length >> 1], rps: Math.round(done / seconds) };
  };
  return { ext_authz_p50_us_c1: load(1, 1).p50, ext_authz_per_s: load(4, 8).rps };
}

/** The Envoy of examples/proxies before the upstream: with the check switched off, or as it is. */
export async function envoy(home, children, { upstream, grpc }, asks) {
  const port = await freePort();
  const text = readFileSync(resolve(TESTS, "../examples/proxies/envoy.yaml"), "utf8")
    .replace("port_value: 8082", `port_value: ${port}`).replace("port_value: 7303", `port_value: ${grpc}`)
    .replace("port_value: 9000", `port_value: ${upstream.split(":")[1]}`)
    .replace("check_settings: { context_extensions: { upstream: crm } }", asks ? "check_settings: { context_extensions: { upstream: api } }" : "disabled: true");
  const file = join(home, "envoy.yaml");
  writeFileSync(file, text);
  const child = spawn(process.env.STEPUP_PYTHON, ["-m", "envoy._main", "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "error"], { stdio: ["ignore", "ignore", "inherit"] });
  children.push(child);
  for (let n = 0; n < 500; n += 1) {
    if (await fetch(`http://127.0.0.1:${port}${REQUEST}`).then((answer) => answer.status < 500, () => false)) return { child, url: `http://127.0.0.1:${port}${REQUEST}` };
    await sleep(10);
  }
  throw new Error("Envoy does not answer");
}
