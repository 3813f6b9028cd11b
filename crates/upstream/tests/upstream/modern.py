"""A server of Python `mcp` 2.x: modern.py stdio|http. Over HTTP it says its port on a line of its own."""

import socket
import sys

from mcp.server import MCPServer

server = MCPServer("fixture")


@server.tool()
def echo(message: str) -> str:
    return f"Echo: {message}"


@server.tool()
def fails() -> str:
    raise ValueError("it did not work")


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
