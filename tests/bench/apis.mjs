// HTTP APIs: nginx alone before the upstream, stepup before it, and nginx that asks stepup. One after the other, in one run.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, sleep } from "../lib/home.mjs";

/** What the configuration of stepup has for it. */
export const configured = (upstream) => `
[upstreams.api]
url = "http://${upstream}"
environment = "bench"
asked_by = ["127.0.0.1"]
[upstreams.api.routes.item]
on = "GET /items/{id}"
query = { verbose = "boolean?" }
`;

/** A request that is permitted at baseline. */
export const REQUEST = "/items/OPS-17?verbose=true";

/** nginx with two doors: one passes everything on, one asks first. */
export async function nginx(home, children, { upstream, agents }) {
  const [plain, asks] = [await freePort(), await freePort()];
  const folder = join(home, "nginx");
  mkdirSync(folder);
  const paths = ["client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path"];
  writeFileSync(join(folder, "nginx.conf"), `
daemon off; pid nginx.pid; worker_processes 1; error_log stderr warn; events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000;
  ${paths.map((name) => `${name} ${name};`).join(" ")}
  upstream api { server ${upstream}; keepalive 64; keepalive_requests 100000000; }
  upstream stepup { server 127.0.0.1:${agents}; keepalive 64; keepalive_requests 100000000; }
  proxy_http_version 1.1; proxy_set_header Connection "";
  server { listen 127.0.0.1:${plain}; location / { proxy_pass http://api; } }
  server {
    listen 127.0.0.1:${asks};
    location / { auth_request /ask; proxy_pass http://api; }
    location = /ask {
      internal; proxy_pass http://stepup/authz/nginx/api; proxy_pass_request_body off;
      proxy_set_header Host 127.0.0.1:${agents}; proxy_set_header Content-Length "";
      proxy_set_header X-Original-Method $request_method; proxy_set_header X-Original-URI $request_uri;
    }
  }
}`);
  const child = spawn("nginx", ["-p", `${folder}/`, "-c", join(folder, "nginx.conf"), "-e", "stderr"], { stdio: ["ignore", "ignore", "inherit"] });
  children.push(child);
  for (let n = 0; n < 200; n += 1) {
    if (await fetch(`http://127.0.0.1:${plain}${REQUEST}`).then((answer) => answer.ok, () => false)) return { child, plain, asks };
    await sleep(10);
  }
  throw new Error("nginx does not answer");
}
