// Calls that are held for an approval: each on a connection of its own, a stream of events that stays open.
import net from "node:net";

/** Connections that are being opened at once: fewer than wait in the kernel's queue. */
const OPENING = 256;

/** What is told once a call waits for people. */
const WAITS = "waiting for approval";

/** Holds one call; answers its connection once the server has told that it waits. */
const one = ({ host, port, path }, headers, message) => new Promise((held, failed) => {
  const body = JSON.stringify(message);
  const lines = Object.entries({ host: `${host}:${port}`, ...headers, "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  const socket = net.connect({ host, port, noDelay: true });
  let said = "";
  const hear = (chunk) => {
    said += chunk;
    if (!said.includes(WAITS)) return;
    // What comes from now on is read and let go.
    socket.off("data", hear).off("close", ended).resume();
    held(socket);
  };
  const ended = () => failed(new Error(`a call was not held: ${said || "nothing was answered"}`));
  socket.on("data", hear).on("close", ended).on("error", () => {});
  socket.write(`POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}`).join("\r\n")}\r\n\r\n${body}`);
});

/** Holds `count` calls, one after the other of each of these callers (`headers`); answers what lets them go. No two of them
 * are alike, so each is a request of its own. */
export const hold = async (url, callers, count, call) => {
  const { hostname: host, port, pathname: path } = new URL(url);
  const sockets = [];
  let next = 0;
  const opening = async () => {
    while (next < count) {
      const n = next;
      next += 1;
      const params = { ...call, arguments: { ...call.arguments, id: `OPS-${n}` }, _meta: { progressToken: n } };
      sockets.push(await one({ host, port, path }, callers[n % callers.length], { jsonrpc: "2.0", id: n, method: "tools/call", params }));
    }
  };
  await Promise.all(Array.from({ length: OPENING }, opening));
  return {
    /** Whether all of them are still there. */
    get whole() {
      return sockets.every((socket) => !socket.destroyed);
    },
    end: () => sockets.forEach((socket) => socket.destroy()),
  };
};
