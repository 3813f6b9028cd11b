//! The demo's upstream: tickets, deployments and secrets in a small real database, over MCP on standard input
//! and output. It knows nothing of stepup, as no upstream does.

use std::fs::OpenOptions;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

use crate::cli::SampleOps;

const SCHEMA: &str = "
  CREATE TABLE IF NOT EXISTS tickets(id TEXT PRIMARY KEY, title TEXT NOT NULL, state TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS deployments(n INTEGER PRIMARY KEY, service TEXT, version TEXT, environment TEXT) STRICT;
  CREATE TABLE IF NOT EXISTS secrets(name TEXT PRIMARY KEY, length INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO tickets VALUES
    ('OPS-17', 'Checkout is slow since 2.4.0', 'open'),
    ('OPS-18', 'Rotate the mail key', 'open'),
    ('OPS-19', 'Staging certificate expires', 'closed');";

struct Ops {
    database: Connection,
    arrivals: Option<PathBuf>,
}

/// Serves until standard input ends.
///
/// # Errors
/// What opening the database, reading or writing fails with.
pub fn run(sample: &SampleOps) -> Result<(), Box<dyn std::error::Error>> {
    let database = Connection::open(&sample.database)?;
    database.execute_batch(SCHEMA)?;
    let ops = Ops { database, arrivals: sample.arrivals.clone() };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let Some(id) = message.get("id") else { continue };
        let method = message.get("method").and_then(Value::as_str).unwrap_or_default();
        let mut reply = match ops.answer(method, message.get("params").unwrap_or(&Value::Null)) {
            Ok(result) => json!({ "result": result }),
            Err((code, text)) => json!({ "error": { "code": code, "message": text } }),
        };
        if let Some(members) = reply.as_object_mut() {
            members.insert("jsonrpc".to_owned(), json!("2.0"));
            members.insert("id".to_owned(), id.clone());
        }
        writeln!(out, "{reply}")?;
        out.flush()?;
    }
    Ok(())
}

type Answer = Result<Value, (i32, String)>;

impl Ops {
    fn answer(&self, method: &str, params: &Value) -> Answer {
        match method {
            "initialize" => Ok(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "sample-ops", "version": env!("CARGO_PKG_VERSION") },
            })),
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": tools() })),
            "tools/call" => self.call(params).map_err(|e| (-32603, e.to_string())),
            other => Err((-32601, format!("no method {other}"))),
        }
    }

    fn call(&self, params: &Value) -> Result<Value, Box<dyn std::error::Error>> {
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        let arguments = params.get("arguments").cloned().unwrap_or_default();
        self.arrived(name, &arguments)?;
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let said = match name {
            "list_tickets" => self.tickets()?,
            "get_ticket" => self.ticket(&text("id"))?,
            "list_deployments" => self.deployments()?,
            "deploy" => self.deploy(&text("service"), &text("version"), &text("environment"))?,
            "set_secret" => self.set_secret(&text("name"), &text("value"))?,
            _ => None,
        };
        Ok(said.map_or_else(
            || json!({ "isError": true, "content": [{ "type": "text", "text": "there is nothing like it" }] }),
            |value| json!({ "content": [{ "type": "text", "text": value.to_string() }], "structuredContent": value }),
        ))
    }

    /// One line a call: what the demo counts executions with.
    fn arrived(&self, tool: &str, arguments: &Value) -> std::io::Result<()> {
        let Some(path) = &self.arrivals else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // In one write: a line is there whole or not at all.
        file.write_all(format!("{}\n", json!({ "tool": tool, "arguments": arguments })).as_bytes())?;
        file.sync_all()
    }

    fn tickets(&self) -> rusqlite::Result<Option<Value>> {
        let mut query = self.database.prepare("SELECT id, title, state FROM tickets ORDER BY id")?;
        let row = |r: &rusqlite::Row<'_>| {
            Ok(
                json!({ "id": r.get::<_, String>(0)?, "title": r.get::<_, String>(1)?, "state": r.get::<_, String>(2)? }),
            )
        };
        let rows = query.query_map([], row)?.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Some(json!({ "tickets": rows })))
    }

    fn ticket(&self, id: &str) -> rusqlite::Result<Option<Value>> {
        let row = |r: &rusqlite::Row<'_>| {
            Ok(json!({ "id": id, "title": r.get::<_, String>(0)?, "state": r.get::<_, String>(1)? }))
        };
        self.database.query_row("SELECT title, state FROM tickets WHERE id = ?1", [id], row).optional()
    }

    fn deployments(&self) -> rusqlite::Result<Option<Value>> {
        let mut query =
            self.database.prepare("SELECT service, version, environment FROM deployments ORDER BY n")?;
        let row = |r: &rusqlite::Row<'_>| {
            Ok(
                json!({ "service": r.get::<_, String>(0)?, "version": r.get::<_, String>(1)?, "environment": r.get::<_, String>(2)? }),
            )
        };
        let rows = query.query_map([], row)?.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Some(json!({ "deployments": rows })))
    }

    fn deploy(&self, service: &str, version: &str, environment: &str) -> rusqlite::Result<Option<Value>> {
        let insert = "INSERT INTO deployments(service, version, environment) VALUES(?1, ?2, ?3)";
        self.database.execute(insert, params![service, version, environment])?;
        Ok(Some(json!({ "deployed": service, "version": version, "environment": environment })))
    }

    fn set_secret(&self, name: &str, value: &str) -> rusqlite::Result<Option<Value>> {
        let set =
            "INSERT INTO secrets(name, length) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET length = ?2";
        self.database.execute(set, params![name, i64::try_from(value.len()).unwrap_or(i64::MAX)])?;
        Ok(Some(json!({ "set": name })))
    }
}

fn tools() -> Value {
    let text = json!({ "type": "string" });
    json!([
        tool("list_tickets", "List all tickets.", &json!({}), &[]),
        tool("get_ticket", "Read one ticket.", &json!({ "id": text }), &["id"]),
        tool("list_deployments", "List what was deployed.", &json!({}), &[]),
        tool(
            "deploy",
            "Deploy a version of a service to an environment.",
            &json!({ "service": text, "version": text, "environment": text, "drain": { "type": "boolean", "default": true } }),
            &["service", "version", "environment"],
        ),
        tool(
            "set_secret",
            "Set a secret of a service.",
            &json!({ "name": text, "value": text }),
            &["name", "value"]
        ),
    ])
}

fn tool(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    json!({
        "name": name, "description": description,
        "inputSchema": { "type": "object", "properties": properties, "required": required },
    })
}
