"""A Python client of MCP, driven by lines of JSON: one request a line on stdin, one answer a line on stdout.

What a client is comes from a `connect(stack, asked)`: its face, which has `page(cursor)` and `call(name, arguments,
within_ms, told)`, and what it says of the server that it came to.
"""

import asyncio
import contextlib
import json
import sys


OPEN_FIRST = -32042


def say(**message):
    print(json.dumps(message), flush=True)


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def listed(face):
    tools, cursor = [], None
    while True:
        page, cursor = await face.page(cursor)
        tools += [plain(tool) for tool in page.tools]
        if cursor is None:
            return tools


async def call(face, asked):
    async def told(progress, total, message):
        heard = {"progress": progress, "total": total, "message": message}
        say(id=asked["id"], progress={name: value for name, value in heard.items() if value is not None})

    heard = told if asked["progress"] else None
    return plain(await face.call(asked["name"], asked["arguments"], asked["within_ms"], heard))


def agreed(asked):
    """Tells what the person is asked; answers what one who agrees gives: for a form, something in each place."""
    asked = plain(asked)
    say(asked=asked)
    form = asked.get("requestedSchema")
    return form and {name: "a person said so" for name in form["required"]}


def failed(id, error):
    say(id=id, error={"message": f"{type(error).__name__}: {error}"})


async def answer(face, asked, refusal, opens):
    try:
        say(id=asked["id"], result=await (listed(face) if asked["what"] == "list" else call(face, asked)))
    except refusal as error:
        # What has to be opened first is told as the SDK reads it.
        told = opens.from_error(error.error) if error.error.code == OPEN_FIRST else error
        say(id=asked["id"], error=plain(told.error))
    except Exception as error:  # the test must hear of it, whatever it is
        failed(asked["id"], error)


async def serve(connect, refusal, opens):
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        first = json.loads(await reader.readline())
        face, server, revision = await connect(stack, first)
        say(id=first["id"], result={"server": server and plain(server), "revision": revision})
        running = set()
        while line := await reader.readline():
            task = asyncio.create_task(answer(face, json.loads(line), refusal, opens))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


def run(connect, refusal, opens):
    """Serves the lines. `refusal` is what the SDK raises for an error that it was answered with, `opens` what it makes of
    the one that says what to open first."""
    asyncio.run(serve(connect, refusal, opens))
