"""The Python SDK 1.x, driven as tests/lib/driven.py says."""

import sys
from datetime import timedelta
from pathlib import Path

import mcp.client.session
import mcp.types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import ElicitResult, Implementation

sys.path.append(str(Path(__file__).parents[1] / "lib"))
import driven


def speak_only(revision):
    """Makes of this SDK one that knows no other revision of MCP."""
    mcp.types.LATEST_PROTOCOL_VERSION = revision
    mcp.client.session.SUPPORTED_PROTOCOL_VERSIONS = [revision]


async def agreed(_context, params):
    return ElicitResult(action="accept", content=driven.agreed(params))


class Session:
    def __init__(self, session):
        self.session = session

    async def page(self, cursor):
        page = await self.session.list_tools(cursor)
        return page, page.nextCursor

    async def call(self, name, arguments, within_ms, told):
        within = timedelta(milliseconds=within_ms)
        return await self.session.call_tool(name, arguments, read_timeout_seconds=within, progress_callback=told)


async def connect(stack, asked):
    if "only" in asked:
        speak_only(asked["only"])
    if "command" in asked:
        server = StdioServerParameters(command=asked["command"], args=asked["args"], env=asked["env"])
        streams = await stack.enter_async_context(stdio_client(server, errlog=open("/dev/null", "w")))
    else:
        streams = await stack.enter_async_context(streamablehttp_client(asked["url"], headers=asked["headers"]))
    ask = agreed if asked["asks"] else None
    info = Implementation(name="stepup-tests", version="1")
    session = await stack.enter_async_context(ClientSession(streams[0], streams[1], client_info=info, elicitation_callback=ask))
    greeted = await session.initialize()
    return Session(session), greeted.serverInfo, greeted.protocolVersion


driven.run(connect, McpError, UrlElicitationRequiredError)
