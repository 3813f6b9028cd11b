"""Batches of payments, and the transfers that pay them, in one SQLite database: python server.py mcp DATABASE, or
python server.py api DATABASE ARRIVALS PORT, for what does not speak MCP."""

import os
import sqlite3
import sys

TABLES = """
CREATE TABLE IF NOT EXISTS batches (batch TEXT PRIMARY KEY, source TEXT NOT NULL, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transfers (batch TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL, payee TEXT NOT NULL);
INSERT OR IGNORE INTO batches VALUES ('by-hand', 'a spreadsheet', 3);
"""

door, path, *rest = sys.argv[1:]
database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
database.executescript(TABLES)


def pay(batch, amount, currency, payee):
    if database.execute("SELECT 1 FROM batches WHERE batch = ?", (batch,)).fetchone() is None:
        raise LookupError(f"there is no batch {batch}")
    database.execute("INSERT INTO transfers VALUES (?, ?, ?, ?)", (batch, str(amount), currency, payee))
    return f"paid {amount} {currency} to {payee}"


def mcp():
    from fastmcp import FastMCP
    from fastmcp.exceptions import ToolError

    server = FastMCP("bank")

    @server.tool(annotations={"readOnlyHint": True})
    def get_batch(batch: str) -> dict:
        """What is in a batch."""
        row = database.execute("SELECT source, count FROM batches WHERE batch = ?", (batch,)).fetchone()
        if row is None:
            raise ToolError(f"there is no batch {batch}")
        return {"source": row[0], "count": row[1]}

    @server.tool
    def prepare_batch(source: str, count: int) -> dict:
        """Puts payments together. No money moves."""
        number = database.execute("SELECT count(*) FROM batches").fetchone()[0]
        batch = f"batch-{number}"
        database.execute("INSERT INTO batches VALUES (?, ?, ?)", (batch, source, count))
        # A bank of ours that forgets to say which batch it was.
        return {"batch": batch} if source != "forgetful" else {"done": True}

    @server.tool
    def transfer(batch: str, amount: float, currency: str, payee: str) -> str:
        """Pays a batch."""
        try:
            return pay(batch, amount, currency, payee)
        except LookupError as unknown:
            raise ToolError(str(unknown))

    server.run(show_banner=False, log_level="ERROR")


def api():
    sys.path.append(os.path.join(os.path.dirname(__file__), "../lib"))
    from api import serve

    def transfer(_path, _query, body):
        try:
            return 201, {"says": pay(**body)}
        except LookupError as unknown:
            return 404, {"error": str(unknown)}

    arrivals, port = rest
    serve("bank-api", {"POST /transfers": ("transfer", ["body"], transfer)}, lambda token: token == "bank-credential", arrivals, int(port))


{"mcp": mcp, "api": api}[door]()
