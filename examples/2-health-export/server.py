"""Customers, and the keys that open them, in one SQLite database, over HTTP: python server.py api DATABASE ARRIVALS PORT"""

import os
import secrets
import sqlite3
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "../lib"))
from api import serve

TABLES = """
CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (n INTEGER PRIMARY KEY, key TEXT NOT NULL);
"""

_, path, arrivals, port = sys.argv[1:]
database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
database.executescript(TABLES)
database.executemany("INSERT INTO customers VALUES (?, ?)", [(n, f"customer {n}") for n in range(1, 41)])
database.execute("INSERT INTO keys (key) VALUES ('crm-first-key')")


def newest():
    return database.execute("SELECT key FROM keys ORDER BY n DESC LIMIT 1").fetchone()[0]


def health(_path, _query, _body):
    return 200, {"customers": database.execute("SELECT count(*) FROM customers").fetchone()[0]}


def export(_path, query, _body):
    # Without a limit, or with one below nothing, it is all of them, as with many.
    rows = database.execute("SELECT name FROM customers ORDER BY id LIMIT ?", (query.get("limit", -1),))
    return 200, {"customers": [name for (name,) in rows]}


def rotate(_path, _query, body):
    """The old key is dead from here on."""
    key = "crm-" + secrets.token_urlsafe(24)
    database.execute("INSERT INTO keys (key) VALUES (?)", (key,))
    number = database.execute("SELECT count(*) FROM keys").fetchone()[0]
    if body["reason"] == "one that is not told":
        return 200, {"number": number}
    if body["reason"] == "one that is told twice":
        return 200, {"key": key, "number": number, "try": f"curl -H 'Authorization: Bearer {key}'"}
    return 200, {"key": key, "number": number}


def reindex(_path, _query, _body):
    return 200, {"done": True}


routes = {
    "GET /health": ("health", [], health),
    "GET /customers": ("export", ["query"], export),
    "POST /keys/rotate": ("rotate", ["body"], rotate),
    "POST /index": ("reindex", [], reindex),
}
serve("crm", routes, lambda token: token == newest(), arrivals, int(port))
