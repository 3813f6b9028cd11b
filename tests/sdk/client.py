"""The Python SDK, driven by lines of JSON: one request a line on stdin, one answer a line on stdout."""

import asyncio
import contextlib
import json
import sys
from datetime import timedelta

import mcp.client.session
import mcp.types
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import Implementation


def say(**message):
    print(json.dumps(message), flush=True)


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def speak_only(revision):
    """Makes of this SDK one that knows no other revision of MCP."""
    mcp.types.LATEST_PROTOCOL_VERSION = revision
    mcp.client.session.SUPPORTED_PROTOCOL_VERSIONS = [revision]


async def connect(stack, asked):
    if "only" in asked:
        speak_only(asked["only"])
    if "command" in asked:
        server = StdioServerParameters(command=asked["command"], args=asked["args"], env=asked["env"])
        streams = await stack.enter_async_context(stdio_client(server, errlog=open("/dev/null", "w")))
    else:
        streams = await stack.enter_async_context(streamablehttp_client(asked["url"], headers=asked["headers"]))
    info = Implementation(name="stepup-tests", version="1")
    session = await stack.enter_async_context(ClientSession(streams[0], streams[1], client_info=info))
    greeted = await session.initialize()
    return session, {"server": plain(greeted.serverInfo), "revision": greeted.protocolVersion}


async def listed(session):
    tools, cursor = [], None
    while True:
        page = await session.list_tools(cursor)
        tools += [plain(tool) for tool in page.tools]
        cursor = page.nextCursor
        if cursor is None:
            return tools


async def call(session, asked):
    async def told(progress, total, message):
        heard = {"progress": progress, "total": total, "message": message}
        say(id=asked["id"], progress={name: value for name, value in heard.items() if value is not None})

    result = await session.call_tool(
        asked["name"],
        asked["arguments"],
        read_timeout_seconds=timedelta(milliseconds=asked["within_ms"]),
        progress_callback=told if asked["progress"] else None,
    )
    return plain(result)


async def answer(session, asked):
    try:
        result = await listed(session) if asked["what"] == "list" else await call(session, asked)
        say(id=asked["id"], result=result)
    except McpError as error:
        say(id=asked["id"], error=plain(error.error))
    except Exception as error:  # the test must hear of it, whatever it is
        say(id=asked["id"], error={"message": f"{type(error).__name__}: {error}"})


async def main():
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        first = json.loads(await reader.readline())
        session, greeted = await connect(stack, first)
        say(id=first["id"], result=greeted)
        running = set()
        while line := await reader.readline():
            task = asyncio.create_task(answer(session, json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


asyncio.run(main())
