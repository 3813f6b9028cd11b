"""The Python SDK 2.x or fastmcp, driven as tests/lib/driven.py says.

python client.py mcp|fastmcp
"""

import sys
from pathlib import Path

import fastmcp
import mcp
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import ElicitResult, Implementation

sys.path.append(str(Path(__file__).parents[1] / "lib"))
import driven

INFO = Implementation(name="stepup-tests", version="1")


async def agreed(*asked):
    """The SDK gives a context and the request, fastmcp more before them."""
    params = next(one for one in asked if hasattr(one, "mode"))
    return ElicitResult(action="accept", content=driven.agreed(params))


class Mcp:
    def __init__(self, url, headers, mode, ask):
        transport = streamable_http_client(url, http_client=create_mcp_http_client(headers=headers))
        self.client = mcp.Client(transport, mode=mode, client_info=INFO, elicitation_callback=ask)

    def spoken(self):
        return self.client.server_info, self.client.protocol_version

    async def page(self, cursor):
        page = await self.client.list_tools(cursor=cursor)
        return page, page.next_cursor

    async def call(self, name, arguments, within_ms, told):
        within = within_ms / 1000
        return await self.client.call_tool(name, arguments, read_timeout_seconds=within, progress_callback=told)


class FastMcp:
    def __init__(self, url, headers, mode, ask):
        transport = StreamableHttpTransport(url, headers=headers)
        self.client = fastmcp.Client(transport, mode=mode, client_info=INFO, elicitation_handler=ask)

    def spoken(self):
        return self.client.session.server_info, self.client.session.protocol_version

    async def page(self, cursor):
        page = await self.client.list_tools_mcp(cursor=cursor)
        return page, page.next_cursor

    async def call(self, name, arguments, within_ms, told):
        within = within_ms / 1000
        return await self.client.call_tool_mcp(name, arguments, timeout=within, progress_handler=told)


async def connect(stack, asked):
    ask = agreed if asked["asks"] else None
    try:
        face = {"mcp": Mcp, "fastmcp": FastMcp}[sys.argv[1]](asked["url"], asked["headers"], asked["mode"], ask)
        await stack.enter_async_context(face.client)
    except Exception as error:
        driven.failed(asked["id"], error)
        sys.exit()
    return face, *face.spoken()


driven.run(connect, MCPError, UrlElicitationRequiredError)
