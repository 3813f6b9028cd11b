"""A small HTTP API, and a witness of what arrives at it, for the checker."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

witnessed = threading.Lock()


def serve(name, routes, allows, arrivals, port):
    """`routes`: "METHOD /path/{variable}" to a name, what of path, query and body it takes, and what answers these with a status and a
    value, which is told as JSON. `allows`: whether a credential is good now. What is read here is read by other code than stepup's."""
    table = [(method, pattern(path), route) for (method, path), route in ((key.split(" "), route) for key, route in routes.items())]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            target = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            query = {key: number(values[0]) for key, values in parse_qs(target.query).items()}
            body = json.loads(text) if text else None
            found = [(of.fullmatch(target.path), route) for method, of, route in table if method == self.command]
            found = [(match.groupdict(), route) for match, route in found if match]
            if not allows(self.headers.get("Authorization", "").removeprefix("Bearer ")):
                return self.tell(401, {"error": "this credential is not good"})
            if not found:
                return self.tell(404, {"error": "there is nothing here"})
            path, (route, takes, act) = found[0]
            path = {key: unquote(value) for key, value in path.items()}
            said = {"path": path, "query": query, "body": body}
            arrived = {place: said[place] for place in takes}
            with witnessed, open(arrivals, "a") as file:
                at = int(time.time() * 1000)
                file.write(json.dumps({"at": at, "tool": f"{name}/{route}", "arguments": arrived}) + "\n")
            self.tell(*act(path, query, body))

        def tell(self, status, value):
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_):
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def pattern(path):
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def number(text):
    return int(text) if text.isdigit() else text
