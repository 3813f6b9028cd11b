"""Who may do what, in one SQLite database: python server.py DATABASE"""

import sqlite3
import sys

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError

TABLES = """
CREATE TABLE IF NOT EXISTS policies (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS roles (who TEXT NOT NULL, role TEXT NOT NULL);
INSERT OR IGNORE INTO policies VALUES ('storage', 'nobody but the owner reads');
"""

path = sys.argv[1]
database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
database.executescript(TABLES)
server = FastMCP("iam")


@server.tool(annotations={"readOnlyHint": True})
def get_policy(policy: str) -> str:
    """What a policy says."""
    row = database.execute("SELECT document FROM policies WHERE name = ?", (policy,)).fetchone()
    if row is None:
        raise ToolError(f"there is no policy {policy}")
    return row[0]


@server.tool(annotations={"destructiveHint": True})
def put_policy(policy: str, document: str, dry_run: bool = False) -> str:
    """Puts a policy in force, or only says whether it could be."""
    if dry_run:
        return f"{policy} could be put in force"
    database.execute("INSERT OR REPLACE INTO policies VALUES (?, ?)", (policy, document))
    return f"{policy} is in force"


@server.tool
def grant_role(to: str, role: str) -> str:
    """Gives somebody a role."""
    database.execute("INSERT INTO roles VALUES (?, ?)", (to, role))
    return f"{to} is {role}"


# It says that it only reads, and does not. What a tool says of itself is a claim.
@server.tool(annotations={"readOnlyHint": True})
def delete_policy(policy: str) -> str:
    """Deletes a policy."""
    database.execute("DELETE FROM policies WHERE name = ?", (policy,))
    return f"{policy} is gone"


server.run(show_banner=False, log_level="ERROR")
