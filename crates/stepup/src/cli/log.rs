//! `stepup log …`

use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use super::say::{Exit, Said, Spoken, count, when};
use crate::logfile::NotVerified;

/// The log.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Show the newest records.
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20)]
        number: u32,
    },
    /// Show one record, whole.
    Show {
        /// Its id.
        record: String,
    },
    /// Write the whole log to a file that anybody can verify.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Verify an exported log: needs nothing but the file and the log's public key.
    Verify {
        /// The file.
        file: PathBuf,
        /// The public key of the log, as `stepup log export` printed it.
        #[arg(long)]
        key: String,
        /// A signed head that you kept from before, as GET /log/checkpoint gives it: the log must extend it.
        #[arg(long, value_name = "NOTE")]
        earlier: Vec<PathBuf>,
    },
}

impl Verb {
    /// The same whatever folder it is done in: the server's is not that of whoever types.
    pub fn typed_here(self) -> std::io::Result<Self> {
        match self {
            Self::Export { file } => Ok(Self::Export { file: std::path::absolute(file)? }),
            Self::Verify { file, key, earlier } => Ok(Self::Verify {
                file: std::path::absolute(file)?,
                key,
                earlier: earlier.into_iter().map(std::path::absolute).collect::<Result<_, _>>()?,
            }),
            Self::Tail { .. } | Self::Show { .. } => Ok(self),
        }
    }

    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::Tail { .. } | Self::Show { .. } | Self::Verify { .. } => true,
            Self::Export { .. } => false, // that it was exported is recorded
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::Tail { number } => tail(desk, number).await,
            Self::Show { record } => show(desk, &record).await,
            Self::Export { file } => export(desk, &file).await,
            Self::Verify { file, key, earlier } => verify(&file, &key, &earlier),
        }
    }
}

async fn tail(desk: &Desk, number: u32) -> Spoken {
    let store = desk.authority.store();
    let head = store.head().await?;
    let from = head.size.saturating_sub(u64::from(number.min(1000)));
    let records = store.records(from, number.min(1000)).await?;
    let line = |r: &authority::LogLine| format!("{:>6}  {}  {:<18} {}", r.leaf, when(r.at), r.kind, r.id);
    let text = if head.size == 0 {
        "The log is empty: nothing has started yet.".to_owned()
    } else {
        records.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let json = records
        .iter()
        .map(|r| json!({ "leaf": r.leaf, "at": r.at.millis(), "kind": r.kind, "record": r.id.to_string() }));
    Ok(Said::done(
        text,
        json!({ "size": head.size, "root": head.root.to_string(), "records": json.collect::<Vec<_>>() }),
    ))
}

async fn show(desk: &Desk, record: &str) -> Spoken {
    let id =
        record.parse().map_err(|e| Said::failed(format!("{record:?} is {e}"), "see `stepup log tail`"))?;
    let Some(line) = desk.authority.store().record(id).await? else {
        return Err(Said::failed("there is no such record", "see `stepup log tail`"));
    };
    let read = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(serde_json::Value::Null);
    let body = line.body.as_ref().map(|(body, _)| read(body));
    let json = json!({ "leaf": line.leaf, "envelope": read(&line.envelope), "body": body });
    let text = serde_json::to_string_pretty(&json).unwrap_or_default();
    Ok(Said::done(terms::text::visible(&text).replace("⟨U+000A⟩", "\n"), json))
}

async fn export(desk: &Desk, file: &std::path::Path) -> Spoken {
    let size = crate::logfile::export(desk, file)
        .await
        .map_err(|e| Said::failed(format!("{}: {e}", file.display()), "nothing was written"))?;
    desk.authority.exported(&desk.by.to_string(), size).await?;
    let text = format!(
        "{} has {}. Anybody can verify it with nothing but this key:\n\n  stepup log verify {} --key '{}'",
        file.display(),
        count(size, "record"),
        file.display(),
        desk.log_key
    );
    Ok(Said::done(text, json!({ "file": file, "records": size, "key": desk.log_key })))
}

/// Verifies a file; needs no store and no configuration.
pub fn verify(file: &std::path::Path, key: &str, earlier: &[PathBuf]) -> Spoken {
    match crate::logfile::verify(file, key, earlier) {
        Ok(records) => {
            let text = format!(
                "Verified: {}, every one in its place, every approval signed for what ran.",
                count(records, "record")
            );
            Ok(Said::done(text, json!({ "verified": true, "records": records })))
        }
        Err(NotVerified::NotRead(what)) => Err(Said::failed(
            format!("nothing was verified: {what}"),
            "the log's key is printed by `stepup log export`",
        )),
        Err(NotVerified::Broken(broken)) => {
            let mut said = Said::failed(
                format!("the log does not verify: {broken}"),
                "do not trust it; ask for the original",
            );
            said.json = json!({ "verified": false, "broken": broken });
            Err(said.exit(Exit::NotVerified))
        }
    }
}
