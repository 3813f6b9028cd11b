"""Backups of databases, and the databases, in one SQLite file: python server.py DATABASE"""

import sqlite3
import sys

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError

TABLES = """
CREATE TABLE IF NOT EXISTS backups (name TEXT PRIMARY KEY, rows TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS databases (name TEXT PRIMARY KEY, rows TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS restores (backup TEXT NOT NULL, target TEXT NOT NULL);
INSERT OR IGNORE INTO backups VALUES ('orders-1', 'A-1,A-2'), ('orders-2', 'A-1,A-2,A-3');
INSERT OR IGNORE INTO databases VALUES ('scratch', ''), ('orders-standby', ''), ('orders', 'A-1,A-2,A-3,A-4'), ('payroll', 'P-1');
"""

path = sys.argv[1]
database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
database.executescript(TABLES)
server = FastMCP("backups")


def backup_of(name: str) -> str:
    row = database.execute("SELECT rows FROM backups WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ToolError(f"there is no backup {name}")
    return row[0]


@server.tool(name="list", annotations={"readOnlyHint": True})
def list_all() -> list[str]:
    """The backups that there are."""
    return [name for (name,) in database.execute("SELECT name FROM backups ORDER BY name")]


@server.tool(annotations={"readOnlyHint": True})
def read(backup: str) -> str:
    """What is in a backup."""
    return backup_of(backup)


@server.tool
def restore(backup: str, target: str = "orders", overwrite: bool = True) -> str:
    """Restores a backup into a database."""
    rows = backup_of(backup)
    there = database.execute("SELECT rows FROM databases WHERE name = ?", (target,)).fetchone()
    if there is None:
        raise ToolError(f"there is no database {target}")
    if there[0] and not overwrite:
        raise ToolError(f"{target} is not empty")
    database.execute("UPDATE databases SET rows = ? WHERE name = ?", (rows, target))
    database.execute("INSERT INTO restores VALUES (?, ?)", (backup, target))
    return f"restored {backup} into {target}"


@server.tool
def delete(backup: str) -> str:
    """Deletes a backup."""
    database.execute("DELETE FROM backups WHERE name = ?", (backup,))
    return f"deleted {backup}"


server.run(show_banner=False, log_level="ERROR")
