//! The policy folder: where proposals come from. What is in force is in the store; a broken file keeps the
//! rules that are in force, loudly (F46, decisions A21).

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use authority::Bundle;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc::Sender;

use crate::cli::Desk;
use crate::config::Activate;
use crate::node::StartError;

/// Editors write a file in several steps; the folder is read once it has been quiet for this long.
const QUIET: Duration = Duration::from_millis(200);

/// How often a folder that is gone is looked for, and one that cannot be watched read.
const AGAIN: Duration = Duration::from_secs(2);

/// At start, before anything is written: the folder's rules, where they are to come into force. They do when none are, or
/// when the folder counts as soon as it is saved.
///
/// # Errors
/// [`StartError`] when nothing is in force and the folder cannot be.
pub fn read_at_start(desk: &Desk) -> Result<Option<Bundle>, StartError> {
    let in_force = !desk.authority.active().rules().is_empty();
    let bundle = match desk.config.with_policy() {
        Ok(bundle) => bundle,
        Err(error) if in_force => {
            desk.authority.troubled(Some(error.to_string()));
            tracing::error!(%error, "the policy folder cannot be read; the rules in force stay");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if in_force && desk.config.policy.activate == Activate::ByCommand {
        if bundle.hash() != desk.authority.active().policy() {
            desk.authority.troubled(Some("it waits for `stepup policy activate`".to_owned()));
            tracing::warn!("the policy folder is not what is in force: run stepup policy activate");
        }
        return Ok(None);
    }
    match desk.authority.active().compile(&bundle) {
        Err(findings) if !in_force => Err(StartError::Policy(crate::cli::refused(&findings, &bundle).text)),
        Ok(_) | Err(_) => Ok(Some(bundle)),
    }
}

/// Puts what [`read_at_start`] read in force.
///
/// # Errors
/// [`StartError`] when the store fails.
pub async fn activate_at_start(desk: &Desk, bundle: &Bundle) -> Result<(), StartError> {
    if let Err(findings) = desk.authority.activate(bundle, &desk.by).await? {
        desk.authority.troubled(Some(told(&findings)));
        let findings = findings.len();
        tracing::error!(findings, "the policy folder does not check out; the rules in force stay");
    }
    Ok(())
}

/// Activates the folder each time it is saved. One that is gone is looked for until there is one again, and another one in
/// its place is followed instead.
pub async fn follow(desk: Arc<Desk>) {
    let dir = &desk.config.policy.dir;
    let mut read = true;
    loop {
        let (saved, mut heard) = tokio::sync::mpsc::channel(1);
        let watched = which(dir);
        match watch(dir, saved) {
            Ok(_watcher) => {
                // What was saved before it is watched was heard by nobody.
                if !std::mem::replace(&mut read, false) {
                    activate(&desk).await;
                }
                while which(dir) == watched && heard.recv().await.is_some() {
                    while tokio::time::timeout(QUIET, heard.recv()).await.is_ok_and(|more| more.is_some()) {}
                    activate(&desk).await;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the policy folder is not watched: use stepup policy activate");
            }
        }
        tokio::time::sleep(AGAIN).await;
        while which(dir).is_none() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Which folder it is, whatever its name.
fn which(dir: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(dir).ok().filter(std::fs::Metadata::is_dir).map(|meta| (meta.dev(), meta.ino()))
}

fn watch(dir: &Path, saved: Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = saved.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(dir, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

async fn activate(desk: &Desk) {
    let bundle = match desk.config.with_policy() {
        Ok(bundle) => bundle,
        Err(error) => {
            desk.authority.troubled(Some(error.to_string()));
            tracing::error!(%error, "the policy folder cannot be read; the rules in force stay");
            return;
        }
    };
    match desk.authority.activate(&bundle, &desk.by).await {
        Ok(Ok(true)) => {
            desk.authority.troubled(None);
            tracing::info!(policy = %bundle.hash(), "the saved rules are in force");
        }
        Ok(Ok(false)) => desk.authority.troubled(None),
        Ok(Err(findings)) => {
            desk.authority.troubled(Some(told(&findings)));
            for finding in &findings {
                tracing::error!(%finding, "the saved rules do not check out; the rules in force stay");
            }
        }
        Err(failed) => tracing::error!(%failed, "the saved rules are not in force"),
    }
}

/// Findings in a line each, for whoever looks at a page or a probe.
fn told(findings: &[policy::Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
