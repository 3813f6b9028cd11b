// Another gateway beside stepup in the bench: ContextForge (`mcp-contextforge-gateway`, PyPI), by its lock file in this
// folder, before the same upstream and on loopback. One worker, its database in SQLite, callers authenticated; what it offers
// beside carrying calls (its pages, its protocol of agents) is off.
import { spawn } from "node:child_process";
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, sleep } from "../../lib/home.mjs";

const BIN = join(dirname(fileURLToPath(import.meta.url)), ".venv/bin");
const ADMIN = "admin@example.com";

/** How long it may take to start, and to read what its upstream offers. */
const STARTING = 120_000;

/** A JWT as its administrator holds one. */
const token = (secret) => {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const says = {
    iss: "mcpgateway", aud: "mcpgateway-api", sub: ADMIN, jti: randomUUID(), iat: now, exp: now + 3600, token_use: "session",
    user: { email: ADMIN, full_name: "bench", is_admin: true, auth_provider: "cli" }, teams: null, is_admin: true,
  };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(says)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
};

const until = async (what) => {
  const end = Date.now() + STARTING;
  for (;;) {
    const found = await what();
    if (found) return found;
    if (Date.now() > end) throw new Error("ContextForge did not come up");
    await sleep(200);
  }
};

/** Starts it under a folder; `children` is told of its process. */
export const start = async (folder, children) => {
  const [port, home] = [await freePort(), mkdtempSync(join(folder, "contextforge-"))];
  const secret = randomBytes(32).toString("base64url");
  const env = {
    PATH: process.env.PATH, HOME: home, LOG_LEVEL: "ERROR", DATABASE_URL: `sqlite:///${home}/mcp.db`, CACHE_TYPE: "memory",
    JWT_SECRET_KEY: secret, AUTH_ENCRYPTION_SECRET: randomBytes(32).toString("base64url"),
    PLATFORM_ADMIN_EMAIL: ADMIN, PLATFORM_ADMIN_PASSWORD: `${randomBytes(18).toString("base64url")}!aA1`,
    DEFAULT_USER_PASSWORD: `${randomBytes(18).toString("base64url")}!aA1`,
    // Its limits would be what is measured.
    RATE_LIMITING_ENABLED: "false",
    SSRF_ALLOW_LOCALHOST: "true", MCPGATEWAY_A2A_ENABLED: "false", MCPGATEWAY_CATALOG_ENABLED: "false",
  };
  const args = ["mcpgateway.main:app", "--host", "127.0.0.1", "--port", String(port), "--workers", "1", "--no-access-log"];
  const child = spawn(join(BIN, "mcpgateway"), args, { cwd: home, env, stdio: "ignore" });
  children.push(child);
  const at = `http://127.0.0.1:${port}`;
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`ContextForge ended with ${child.exitCode}`);
    return fetch(`${at}/health`).then((answer) => answer.ok, () => false);
  });
  const authorization = { authorization: `Bearer ${token(secret)}` };
  const ask = async (method, path, body) => {
    const headers = { ...authorization, "content-type": "application/json" };
    const answer = await fetch(at + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`ContextForge: ${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  };
  /** Puts it before one upstream, as a server of its own with all the tools of that; answers its address. */
  const before = async (name, url, count) => {
    await ask("POST", "/gateways", { name, url, transport: "STREAMABLEHTTP", visibility: "public" });
    const tools = await until(async () => {
      const all = await ask("GET", "/tools?limit=0");
      const theirs = all.filter((tool) => tool.gatewaySlug === name);
      return theirs.length >= count && theirs;
    });
    const server = await ask("POST", "/servers", { server: { name, associated_tools: tools.map((tool) => tool.id) }, visibility: "public" });
    return { url: `${at}/servers/${server.id}/mcp`, named: (tool) => tools.find((one) => one.originalName === tool).name };
  };
  return { child, authorization, before };
};
