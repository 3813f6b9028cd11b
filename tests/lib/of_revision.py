"""An MCP server of the Python SDK that speaks one revision of MCP: python of_revision.py REVISION [PORT]"""

import asyncio
import sys

import mcp.server.session
import mcp.server.streamable_http
import mcp.types
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import Icon, ToolAnnotations

revision, port = sys.argv[1], (sys.argv[2:] or [None])[0]
mcp.types.LATEST_PROTOCOL_VERSION = revision
mcp.server.session.SUPPORTED_PROTOCOL_VERSIONS = [revision]
mcp.server.streamable_http.SUPPORTED_PROTOCOL_VERSIONS = [revision]

server = FastMCP(f"of {revision}", port=int(port or 0), log_level="ERROR")
# What came with 2025-11-25 is said by a server of that revision.
later = {"icons": [Icon(src="data:image/png;base64,AA==", mimeType="image/png")]} if revision >= "2025-11-25" else {}


@server.tool(title="Add", annotations=ToolAnnotations(readOnlyHint=True), **later)
def add(a: int, b: float = 0.5) -> float:
    """Adds."""
    return a + b


@server.tool(structured_output=False, **later)
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ToolError(why)


@server.tool()
async def climb(steps: int, context: Context) -> str:
    """Tells how far it is."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
        # An SDK may lose what comes in one breath with the answer.
        await asyncio.sleep(0.05)
    return "up"


server.run("streamable-http" if port else "stdio")
