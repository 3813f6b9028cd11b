"""The Python SDK 2.x or fastmcp, driven by lines of JSON: one request a line on stdin, one answer a line on stdout.

python client.py mcp|fastmcp
"""

import asyncio
import contextlib
import json
import sys

import fastmcp
import mcp
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult, Implementation

INFO = Implementation(name="stepup-tests", version="1")


def say(**message):
    print(json.dumps(message), flush=True)


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def agreed(*asked):
    """Tells what the person is asked, and agrees. The SDK gives a context and the request, fastmcp more before them."""
    params = next(one for one in asked if hasattr(one, "mode"))
    say(asked=plain(params))
    return ElicitResult(action="accept")


class Mcp:
    def __init__(self, url, headers, mode, ask):
        transport = streamable_http_client(url, http_client=create_mcp_http_client(headers=headers))
        self.client = mcp.Client(transport, mode=mode, client_info=INFO, elicitation_callback=ask)

    def spoken(self):
        return self.client.server_info, self.client.protocol_version

    async def page(self, cursor):
        return await self.client.list_tools(cursor=cursor)

    async def call(self, name, arguments, within, told):
        return await self.client.call_tool(name, arguments, read_timeout_seconds=within, progress_callback=told)


class FastMcp:
    def __init__(self, url, headers, mode, ask):
        transport = StreamableHttpTransport(url, headers=headers)
        self.client = fastmcp.Client(transport, mode=mode, client_info=INFO, elicitation_handler=ask)

    def spoken(self):
        return self.client.session.server_info, self.client.session.protocol_version

    async def page(self, cursor):
        return await self.client.list_tools_mcp(cursor=cursor)

    async def call(self, name, arguments, within, told):
        return await self.client.call_tool_mcp(name, arguments, timeout=within, progress_handler=told)


async def listed(face):
    tools, cursor = [], None
    while True:
        page = await face.page(cursor)
        tools += [plain(tool) for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return tools


async def call(face, asked):
    async def told(progress, total, message):
        heard = {"progress": progress, "total": total, "message": message}
        say(id=asked["id"], progress={name: value for name, value in heard.items() if value is not None})

    within = asked["within_ms"] / 1000
    return plain(await face.call(asked["name"], asked["arguments"], within, told if asked["progress"] else None))


async def answer(face, asked):
    try:
        say(id=asked["id"], result=await (listed(face) if asked["what"] == "list" else call(face, asked)))
    except MCPError as error:
        say(id=asked["id"], error=plain(error.error))
    except Exception as error:  # the test must hear of it, whatever it is
        say(id=asked["id"], error={"message": f"{type(error).__name__}: {error}"})


async def main():
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        first = json.loads(await reader.readline())
        try:
            ask = agreed if first["asks"] else None
            face = {"mcp": Mcp, "fastmcp": FastMcp}[sys.argv[1]](first["url"], first["headers"], first["mode"], ask)
            await stack.enter_async_context(face.client)
        except Exception as error:
            return say(id=first["id"], error={"message": f"{type(error).__name__}: {error}"})
        server, revision = face.spoken()
        say(id=first["id"], result={"server": server and plain(server), "revision": revision})
        running = set()
        while line := await reader.readline():
            task = asyncio.create_task(answer(face, json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


asyncio.run(main())
