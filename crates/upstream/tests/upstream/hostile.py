"""An MCP server over stdio that does what no server should. The tool's name says what."""

import json
import os
import subprocess
import sys
import time

lines = 0
modern = "modern" in sys.argv
calls = []


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def result(id, value):
    text = value if isinstance(value, str) else json.dumps(value)
    send({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})


def read():
    global lines
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    lines += 1
    return json.loads(line)


def attempt(what):
    try:
        what()
        return "done"
    except OSError as error:
        return type(error).__name__


def requests(id, arguments):
    """Asks what no server of the modern era may, and answers with what it got."""
    for method in ["elicitation/create", "ping"]:
        send({"jsonrpc": "2.0", "id": method, "method": method, "params": {}})
    result(id, "asked")


def subscribed(id, arguments):
    """Says that its list has changed, on the subscriptions that it is told."""
    for subscription in arguments["on"]:
        meta = {"io.modelcontextprotocol/subscriptionId": listening if subscription == "ours" else subscription}
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}})
    result(id, "told")


def acknowledges(id, arguments):
    acknowledge()
    result(id, "acknowledged")


def acknowledge():
    meta = {"io.modelcontextprotocol/subscriptionId": listening}
    params = {"_meta": meta, "notifications": {"toolsListChanged": True}}
    send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})


def ends(id, arguments):
    """Ends the subscription, and other requests, too."""
    for request in [listening, id]:
        send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request}})
    result(id, "ended")


def moves(id, arguments):
    """Says that resources changed, to who subscribed in a session, or on the streams that are named, by their URI."""
    for uri in arguments["uris"]:
        params = {"uri": uri}
        if modern:
            params["_meta"] = {"io.modelcontextprotocol/subscriptionId": streams.get(uri, arguments.get("on"))}
        send({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params})
    result(id, "told")


def leaves(id, arguments):
    """Ends the stream of a resource."""
    send({"jsonrpc": "2.0", "id": streams[arguments["uri"]], "result": {"resultType": "complete"}})
    result(id, "ended")


def watched(id, arguments):
    """What is subscribed to."""
    result(id, sorted(streams))


def heard(id, arguments):
    """The methods that came, in order."""
    result(id, methods)


listening = None
streams = {}
methods = []


def environ(id, arguments):
    fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd)]
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    result(id, {
        "environ": dict(os.environ),
        "fds": sorted(int(fd) for fd in fds),
        "no_new_privs": status["NoNewPrivs"].strip(),
        "leads_its_group": os.getpgrp() == os.getpid(),
        "pid": os.getpid(),
    })


def reach(id, arguments):
    """Everything that could be done to a file at a path."""
    path = arguments["path"]
    folder = os.path.dirname(path)
    result(id, {
        "read": attempt(lambda: open(path).read()),
        "write": attempt(lambda: open(path, "r+").write("x")),
        "list": attempt(lambda: os.listdir(folder)),
        "create": attempt(lambda: open(os.path.join(folder, "new"), "w").close()),
        "remove": attempt(lambda: os.remove(path)),
        "rename": attempt(lambda: os.rename(path, arguments["aside"])),
        "link": attempt(lambda: os.link(path, arguments["aside"])),
        "by proc": attempt(lambda: open("/proc/self/root" + path).read()),
        "by link": attempt(lambda: open(arguments["link"]).read()),
        "beside": attempt(lambda: open(arguments["beside"], "w").write("x")),
        "signal": attempt(lambda: os.kill(os.getppid(), 0)),
    })


def endless(id, arguments):
    piece = "x" * (1 << 20)
    for _ in range(1024):
        sys.stdout.write(piece)
    sys.stdout.flush()


def silent(id, arguments):
    pass


def late(id, arguments):
    time.sleep(0.4)
    result(id, "late")


def dies(id, arguments):
    os._exit(7)


def twice(id, arguments):
    result(id, "first")
    result(id, "second")


def foreign(id, arguments):
    """Answers what nobody asked, then what somebody did."""
    for other in ["0" * 32, 1, None, "", id.upper() + "0", id[:-1]]:
        result(other, "not yours")
    result(id, "yours")


def together(id, arguments):
    """Holds calls back until there are as many as it says, and answers the last one first."""
    calls.append((id, arguments["mine"]))
    if len(calls) == arguments["of"]:
        while calls:
            result(*calls.pop())


def asks(id, arguments):
    """Asks all that a server may ask a client, and answers with the replies."""
    methods = ["elicitation/create", "sampling/createMessage", "roots/list", "tools/call", "ping"]
    for method in methods:
        send({"jsonrpc": "2.0", "id": method, "method": method, "params": {}})
    replies = {}
    while len(replies) < len(methods):
        message = read()
        replies[message["id"]] = message.get("error", {}).get("code", "result")
    result(id, replies)


def floods(id, arguments):
    """Asks without end, and never reads a reply until it is done."""
    for n in range(2000):
        send({"jsonrpc": "2.0", "id": n, "method": "ping"})
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}})
    result(id, "done")


def drowns(id, arguments):
    """Asks without end, and never reads anything again."""
    for n in range(20000):
        send({"jsonrpc": "2.0", "id": n, "method": "ping"})
        if n % 10 == 0:
            time.sleep(0.0005)
    time.sleep(3600)


def garbage(id, arguments):
    for line in ["", "hello", "[]", '{"jsonrpc":"2.0"}', '{"jsonrpc":"2.0","id":"%s"' % id, "\x00", "\ufeff{}"]:
        sys.stdout.write(line + "\n")
    result(id, "after garbage")


def counts(id, arguments):
    """How many lines came, and what the last one was."""
    result(id, {"lines": lines, "text": arguments.get("text")})


def deaf(id, arguments):
    time.sleep(3600)


def grandchild(id, arguments):
    child = subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    result(id, {"pid": child.pid, "own": os.getpid()})


def stops(id, arguments):
    """Stops its own process, as a debugger or a frozen machine does."""
    import signal
    os.kill(os.getpid(), signal.SIGSTOP)


def stubborn(id, arguments):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    result(id, {"pid": os.getpid()})
    while True:
        time.sleep(3600)


def progresses(id, arguments):
    def tell(token, n):
        params = {"progressToken": token, "progress": n, "total": 3, "message": "step %d" % n}
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    for n in (1, 2, 3):
        tell(id, n)
        tell("f" * 32, n)
        tell(n, n)
    result(id, "done")


def changes(id, arguments):
    send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    result(id, "changed")


def speaks(id, arguments):
    """What it knows, on its standard error."""
    sys.stderr.write("token %s %s \x1b[31mred\u202e\n" % (os.environ.get("TOKEN", ""), arguments.get("pin")))
    sys.stderr.write("x" * 100000 + os.environ.get("TOKEN", "") + "\n")
    sys.stderr.flush()
    result(id, "spoken")


def raw(id, arguments):
    """A result as it is written."""
    sys.stdout.write('{"jsonrpc":"2.0","id":"%s",%s}\n' % (id, arguments["rest"]))
    sys.stdout.flush()


def beside(id, arguments):
    """What came beside the arguments."""
    result(id, {"meta": message["params"].get("_meta"), "id": id})


questions = {}


def elicits(id, arguments):
    """Asks something of a client, and answers with the reply: its own call, or where it says so one that is gone."""
    questions["q"] = id
    send({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "m"}})


def logs(id, arguments):
    """Logs before it answers, and when somebody else is called after it."""
    send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": arguments.get("data", "d")}})
    if not arguments.get("quiet"):
        result(id, "logged")


tools = {f.__name__: f for f in [
    elicits, logs,
    environ, reach, endless, silent, late, dies, twice, foreign, together, asks, floods, drowns, garbage, counts, deaf,
    grandchild, stops, stubborn, progresses, changes, speaks, raw, beside, requests, subscribed, acknowledges, ends, heard, moves,
    leaves, watched,
]}

if "dead" in sys.argv:
    sys.exit(3)

while True:
    message = read()
    method, id = message.get("method"), message.get("id")
    methods.append(method)
    if method == "initialize" and modern:
        send({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}})
    elif method == "initialize":
        if "mute" in sys.argv:
            continue
        version = "1999-01-01" if "old" in sys.argv else "2025-11-25"
        info = {"name": "hostile", "version": "0"}
        send({"jsonrpc": "2.0", "id": id, "result": {
            "protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}})
    elif method == "server/discover":
        if "probe-dies" in sys.argv:
            sys.exit(3)
        elif "probe-mute" in sys.argv:
            continue
        elif modern:
            send({"jsonrpc": "2.0", "id": id, "result": {
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}}}})
        else:
            send({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "not initialized"}})
    elif method == "subscriptions/listen" and "resourceSubscriptions" in message["params"]["notifications"]:
        asked = message["params"]["notifications"]
        streams.update({uri: id for uri in asked["resourceSubscriptions"]})
        meta = {"io.modelcontextprotocol/subscriptionId": id}
        told = asked if "tells-nothing" not in sys.argv else {}
        send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"_meta": meta, "notifications": told}})
    elif method == "subscriptions/listen":
        listening = id
        if "late-acknowledgment" not in sys.argv:
            acknowledge()
    elif method == "notifications/cancelled":
        streams = {uri: of for uri, of in streams.items() if of != message["params"]["requestId"]}
    elif method == "resources/subscribe":
        streams[message["params"]["uri"]] = None
        send({"jsonrpc": "2.0", "id": id, "result": {}})
    elif method == "resources/unsubscribe":
        streams.pop(message["params"]["uri"], None)
        send({"jsonrpc": "2.0", "id": id, "result": {}})
    elif method is None and id in questions:
        result(questions.pop(id), {member: message.get(member) for member in ["result", "error"]})
    elif method == "ping":
        send({"jsonrpc": "2.0", "id": id, "result": {}})
    elif method == "tools/list":
        listed = [{"name": name, "inputSchema": {"type": "object"}} for name in tools]
        page = {"tools": listed}
        if "endless-list" in sys.argv:
            page["nextCursor"] = "again"
        send({"jsonrpc": "2.0", "id": id, "result": page})
    elif method == "tools/call":
        tools[message["params"]["name"]](id, message["params"]["arguments"])
