//! The policy folder: where proposals come from. What is in force is in the store; a broken file keeps the
//! rules that are in force, loudly (F46, decisions A21).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authority::{Activated, Bundle, By, Failed, Listing, Operator, Selector, Stopped};
use elevation::{Conclusion, GrantState, State};
use terms::{ElevationId, Json, Part};
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

use self::watched::{Writing, looks, settled, watch, which};
use crate::cli::Desk;
use crate::config::{Activate, Config};
use crate::node::StartError;

mod watched;

/// What is said of a folder whose rules were replaced by a person's word.
pub const ROLLED_BACK: &str =
    "other rules were put in force since: change the folder, or run `stepup policy activate`";

/// The latest requests that are looked through for those of an earlier folder.
const EARLIER: u32 = 500;

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

/// Puts what [`read_at_start`] read in force, if it may come into force by itself. What other rules have replaced does not: that
/// was somebody's word. Answers the request that waits for approval, where one does.
///
/// # Errors
/// [`StartError`] when the store fails.
pub async fn activate_at_start(desk: &Desk, bundle: &Bundle) -> Result<Option<ElevationId>, StartError> {
    if desk.config.policy.activate == Activate::OnSave {
        take_back_earlier(desk, bundle).await?;
    }
    if was_replaced(desk, bundle).await? {
        return Ok(None);
    }
    propose(desk, bundle, &owners(desk)).await.map_err(StartError::from)
}

/// What was asked or approved of a folder that was saved otherwise while no server ran is taken back, as it would have been.
async fn take_back_earlier(desk: &Desk, bundle: &Bundle) -> Result<(), Failed> {
    let (now, hash) = (desk.authority.now(), bundle.hash().to_string());
    let listing = Listing { limit: EARLIER, ..Listing::default() };
    for whole in desk.authority.store().elevations(listing).await? {
        let access = &whole.request.access;
        let of_rules =
            access.reaches().is_none() && access.resource().parts() == Some((Part::OF, Part::Policy.name()));
        let another = access.arguments().get("to").and_then(Json::as_str) != Some(hash.as_str());
        let usable = whole.grant.as_ref().is_some_and(|grant| grant.state(now) == GrantState::Live);
        if of_rules && another && (usable || whole.state == State::Pending) {
            take_back(desk, whole.request.id).await;
        }
    }
    Ok(())
}

/// Whether other rules have replaced these: then they do not come back unasked, by a restart or by being read again.
async fn was_replaced(desk: &Desk, bundle: &Bundle) -> Result<bool, Failed> {
    let hash = bundle.hash();
    let was =
        hash != desk.authority.active().policy() && desk.authority.store().policy(hash).await?.is_some();
    if was {
        desk.authority.troubled(Some(ROLLED_BACK.to_owned()));
        tracing::warn!(policy = %hash, "the policy folder holds rules that were replaced; those in force stay");
    }
    Ok(was)
}

/// Proposes the folder each time it is saved or is to be read again, and once more when what it proposed, `waits`, is approved. One
/// that is gone is looked for until there is one again, and another one in its place is followed instead.
pub async fn follow(desk: Arc<Desk>, mut waits: Option<ElevationId>, again: Arc<Notify>) {
    let dir = &desk.config.policy.dir;
    let mut read = true;
    loop {
        let (saved, heard) = tokio::sync::mpsc::channel(1);
        let (watched, writing) = (which(dir), Writing::default());
        match watch(dir, saved, writing.clone()) {
            Ok(_watcher) => {
                // What was saved before it is watched was heard by nobody.
                if !std::mem::replace(&mut read, false) {
                    waits = saved_now(&desk, waits).await;
                }
                waits = listen(&desk, (heard, &writing, &again), waits, || which(dir) == watched).await;
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

/// Listens while it is the same folder; what waits for approval then.
async fn listen(
    desk: &Desk,
    (mut heard, writing, again): (Receiver<()>, &Writing, &Notify),
    mut waits: Option<ElevationId>,
    same: impl Fn() -> bool,
) -> Option<ElevationId> {
    let dir = &desk.config.policy.dir;
    let mut read = looks(dir);
    while same() {
        match next(desk, (&mut heard, again), waits).await {
            Next::Saved => {
                settled(&mut heard, writing).await;
                read = looks(dir);
                waits = saved_now(desk, waits).await;
            }
            Next::Again => waits = again_now(desk, waits).await,
            // Whatever stands there by now: what was approved is over with it.
            Next::Decided => waits = saved_now(desk, waits).await.filter(|now| Some(*now) != waits),
            Next::Over(why) => {
                waits = None;
                desk.authority.troubled(Some(why));
            }
            Next::Quiet if looks(dir) == read => {}
            Next::Quiet => {
                read = looks(dir);
                waits = saved_now(desk, waits).await;
            }
            Next::Gone => break,
        }
    }
    waits
}

/// What happens next to a folder that is followed.
enum Next {
    /// It was saved.
    Saved,
    /// It is to be read again.
    Again,
    /// What it proposes was approved.
    Decided,
    /// What it proposes was not, and why.
    Over(String),
    /// Nothing, for a while: its name may lead to another one by now, which nobody tells of.
    Quiet,
    /// It is not followed any more.
    Gone,
}

/// Waits for the folder to be saved, or for what it proposes to be decided on.
async fn next(desk: &Desk, (heard, again): (&mut Receiver<()>, &Notify), waits: Option<ElevationId>) -> Next {
    let over = async {
        match waits {
            Some(id) => decided(desk, id).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        more = heard.recv() => if more.is_some() { Next::Saved } else { Next::Gone },
        () = again.notified() => Next::Again,
        over = over => over,
        () = tokio::time::sleep(AGAIN) => Next::Quiet,
    }
}

/// How a proposal ends. It is looked at now and then beside being waited for: silence ends it too.
async fn decided(desk: &Desk, id: ElevationId) -> Next {
    loop {
        let mut waiting = desk.authority.waiting(id);
        let found = desk.authority.store().elevation(id).await.ok().flatten();
        match found.map(|whole| (whole.state, whole.why)) {
            Some((State::Concluded(Conclusion::Approved), _)) => return Next::Decided,
            Some((state @ State::Concluded(_), why)) => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                return Next::Over(format!(
                    "its change is {}{why}; save it again to ask again",
                    state.name()
                ));
            }
            Some((State::Pending, _)) | None => {}
        }
        let _ = tokio::time::timeout(AGAIN, waiting.changed()).await;
    }
}

/// Reads the folder and proposes what is in it. What it proposed before is taken back if it is something else by now: the request,
/// and what was approved of it and not used.
async fn saved_now(desk: &Desk, waits: Option<ElevationId>) -> Option<ElevationId> {
    let mut owners = self::owners(desk);
    let bundle = match desk.config.with_policy() {
        Ok(bundle) => bundle,
        Err(error) => {
            refused(desk, &error.to_string()).await;
            tracing::error!(%error, "the policy folder cannot be read; the rules in force stay");
            return waits;
        }
    };
    // Whoever owned it before it was read, and whoever does after.
    owners.extend(self::owners(desk));
    let proposed = match propose(desk, &bundle, &owners).await {
        Ok(proposed) => proposed,
        Err(failed) => {
            desk.authority.troubled(Some(failed.to_string()));
            tracing::error!(%failed, "the saved rules are not in force");
            return waits;
        }
    };
    if let Some(before) = waits.filter(|before| Some(*before) != proposed) {
        take_back(desk, before).await;
    }
    proposed
}

/// The same where nobody saved it: what other rules have replaced stays out.
async fn again_now(desk: &Desk, waits: Option<ElevationId>) -> Option<ElevationId> {
    let replaced = match desk.config.with_policy() {
        Ok(bundle) => was_replaced(desk, &bundle).await,
        Err(_) => Ok(false), // said below
    };
    match replaced {
        Ok(true) => waits,
        Ok(false) => saved_now(desk, waits).await,
        Err(failed) => {
            tracing::error!(%failed, "the policy folder is not read again");
            waits
        }
    }
}

/// What cannot be read is no set of rules, and stands in the log as one that does not check out: once, however often it is looked at.
async fn refused(desk: &Desk, why: &str) {
    if desk.authority.trouble().is_some_and(|standing| *standing == why) {
        return;
    }
    desk.authority.troubled(Some(why.to_owned()));
    if let Err(failed) = desk.authority.refuse_unread(why.to_owned(), &desk.by).await {
        tracing::error!(%failed, "that the policy folder cannot be read is not recorded");
    }
}

async fn take_back(desk: &Desk, id: ElevationId) {
    let Ok(Some(whole)) = desk.authority.store().elevation(id).await else { return };
    let (by, why) = (desk.by.to_string(), "the policy folder was saved again".to_owned());
    let now = desk.authority.now();
    let taken = match whole.grant.filter(|grant| grant.state(now) == GrantState::Live) {
        Some(grant) => desk.authority.revoke(Selector::Grant(grant.id), by, why).await.map(drop),
        None => desk.authority.withdraw_as_operator(whole.request.caller, id, &by, why).await.map(drop),
    };
    if let Err(failed) = taken {
        tracing::warn!(%failed, "what the policy folder proposed before still waits");
    }
}

/// Proposes rules in the name of whoever owns the folder; the request that waits for approval, where one does.
async fn propose(
    desk: &Desk,
    bundle: &Bundle,
    owners: &BTreeSet<u32>,
) -> Result<Option<ElevationId>, Failed> {
    let Some(by) = proposer(desk, owners).await? else {
        let why = format!("{}: {ONE_OWNER}", several(owners));
        tracing::error!(why, "the saved rules are refused; the rules in force stay");
        desk.authority.troubled(Some(why));
        return Ok(None);
    };
    match desk.authority.activate(bundle, &by).await? {
        Activated::Done => {
            desk.authority.troubled(None);
            tracing::info!(policy = %bundle.hash(), "the saved rules are in force");
        }
        Activated::Already => desk.authority.troubled(None),
        Activated::Wrong(findings) => {
            desk.authority.troubled(Some(told(&findings)));
            for finding in &findings {
                tracing::error!(%finding, "the saved rules do not check out; the rules in force stay");
            }
        }
        Activated::Stopped(Stopped::Asked(challenge)) => {
            let link = desk.page(&format!("r/{}", challenge.elevation));
            let first = if challenge.wants_purpose || challenge.wants_ticket {
                "; before anybody can, say why and under which ticket: stepup policy activate --purpose … --ticket …"
            } else {
                ""
            };
            desk.authority.troubled(Some(format!("its change waits for approval: {link}{first}")));
            tracing::warn!(elevation = %challenge.elevation, "the saved rules wait for approval; the rules in force stay");
            return Ok(Some(challenge.elevation));
        }
        Activated::Stopped(Stopped::Denied(denial)) => {
            let why = denial.slug.row().happened;
            desk.authority.troubled(Some(format!("{by} may not change the rules ({}): {why}", denial.slug)));
            tracing::error!(%by, slug = %denial.slug, "the saved rules are refused; the rules in force stay");
        }
    }
    Ok(None)
}

/// What a proposal is read from: the rules, their folder and the configuration.
fn proposed_by(config: &Config) -> impl Iterator<Item = PathBuf> {
    let dir = &config.policy.dir;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let rules = entries.filter(|path| path.extension().is_some_and(|extension| extension == "cedar"));
    rules.chain([dir.clone(), config.file.clone()])
}

/// Whoever could have written what the folder proposes: the owners of the folder, of its rules and of the configuration, whose
/// requirements are proposed with them.
fn owners(desk: &Desk) -> BTreeSet<u32> {
    let both = |path: PathBuf| [std::fs::metadata(&path), std::fs::symlink_metadata(&path)];
    proposed_by(&desk.config).flat_map(both).filter_map(|meta| meta.ok().map(|meta| meta.uid())).collect()
}

/// What of it others than its owner can write: whoever approves could have written it unseen. A group with the number of its owner
/// is that account's own.
pub fn open_to_others(config: &Config) -> Vec<String> {
    let open = |path: PathBuf| {
        let meta = std::fs::metadata(&path).ok()?;
        let others = if meta.gid() == meta.uid() { 0o002 } else { 0o022 };
        let mode = meta.mode() & 0o777;
        (mode & others != 0).then(|| {
            format!("{} can be written by others than its owner (mode {mode:o}): chmod go-w", path.display())
        })
    };
    let mut open: Vec<String> = proposed_by(config).filter_map(open).collect();
    open.sort();
    open
}

/// In whose name it is proposed; `None` where several could have written it and not all of them may change the rules alone: whoever
/// approved could be one of them.
async fn proposer(desk: &Desk, owners: &BTreeSet<u32>) -> Result<Option<By>, Failed> {
    let Some(first) = owners.first() else { return Ok(Some(desk.by.clone())) };
    for uid in owners.iter().filter(|_| owners.len() > 1) {
        if !desk.authority.may_change_rules(&By::account(*uid)).await? {
            return Ok(None);
        }
    }
    Ok(Some(By::account(*first)))
}

/// Why an account does not propose the folder by its command either: others could have written it.
pub async fn others_wrote(desk: &Desk, by: &By) -> Result<Option<String>, Failed> {
    let Operator::Account(uid) = by.who else { return Ok(None) };
    let mut owners = owners(desk);
    owners.insert(uid);
    Ok(proposer(desk, &owners).await?.is_none().then(|| several(&owners)))
}

/// What is to be done where several accounts could have written it.
pub const ONE_OWNER: &str = "have folder, files and stepup.toml owned by one account";

fn several(owners: &BTreeSet<u32>) -> String {
    let names = owners.iter().map(|uid| format!("os:{uid}")).collect::<Vec<_>>().join(", ");
    format!("several accounts could have written it ({names}), and whoever approves it could be one of them")
}

/// Findings in a line each, for whoever looks at a page or a probe.
fn told(findings: &[policy::Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
