"""A server of fastmcp, of either of its generations: python fastmcp_server.py [PORT]"""

import asyncio
import sys
from dataclasses import dataclass

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.utilities.types import Image

server = FastMCP("shop", version="1.2.3", instructions="Sells things.")


@dataclass
class Price:
    item: str
    amount: float


@server.tool(title="Price", annotations={"readOnlyHint": True}, tags={"shop"}, meta={"example.com/n": 1.5})
def price(item: str, amount: float = 0.5) -> Price:
    """What an item costs."""
    return Price(item, amount)


@server.tool
def add(a: int, b: float = 0.5) -> float:
    """Adds."""
    return a + b


@server.tool
def names(count: int) -> list[str]:
    """Names things."""
    return [f"thing {n}" for n in range(count)]


@server.tool
def picture() -> Image:
    """A picture."""
    return Image(data=b"\x89PNG\r\n\x1a\n", format="png")


@server.tool
def fail(why: str) -> str:
    """Fails."""
    raise ToolError(why)


@server.tool
async def climb(steps: int, context: Context) -> str:
    """Tells how far it is."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
        # An SDK may lose what comes in one breath with the answer.
        await asyncio.sleep(0.05)
    return "up"


@server.tool(annotations={"destructiveHint": True})
def sell(item: str) -> str:
    """Sells an item."""
    return f"sold {item}"


@server.resource("shop://opening-hours", mime_type="text/plain")
def opening_hours() -> str:
    """When it is open."""
    return "nine to five"


@server.resource("shop://logo", mime_type="image/png")
def logo() -> bytes:
    """What it looks like."""
    return b"\x89PNG\r\n\x1a\n"


@server.resource("shop://books", mime_type="application/json")
def books() -> str:
    """What was earned."""
    return '{"earned": 7}'


@server.resource("shop://item/{name}")
def item(name: str) -> str:
    """An item."""
    return f"{name}, as good as new"


@server.prompt(title="Ask")
def ask(item: str, tone: str = "polite") -> str:
    """Asks for an item."""
    return f"In a {tone} voice: have you got {item}?"


if len(sys.argv) > 1:
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False, log_level="ERROR")
else:
    server.run(show_banner=False, log_level="ERROR")
