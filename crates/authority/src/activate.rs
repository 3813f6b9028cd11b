//! Rules come into force: a set that does not check out changes nothing, and who may change rules is asked of those in force
//! (decisions A21).

use std::sync::Arc;

use audit::body;
use audit::record::Refs;
use policy::{Code, Finding, Place};
use store::{Change, Commit, Failed, Policy, Refused};
use terms::{Outcome, Part, PolicyHash};

use crate::active::{Active, Compiled};
use crate::authority::Authority;
use crate::bundle::Bundle;
use crate::decide::TRIES;
use crate::operator::{By, Doing, Leave, Stopped};
use crate::proposal;

/// What became of rules that were to come into force.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activated {
    /// They are in force.
    Done,
    /// They were already.
    Already,
    /// They do not check out: everything that is wrong with them.
    Wrong(Vec<Finding>),
    /// It takes approval first, or is denied.
    Stopped(Stopped),
}

/// Why rules are put in force, beside that somebody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// They are new.
    New,
    /// What they say of tools is said anew, of definitions that were accepted meanwhile too (B25).
    Anew,
    /// They were in force before.
    Back,
    /// Nobody could change those in force, and whoever has the store and the keys says so.
    Recovery,
}

impl Why {
    /// As the access names it.
    const fn act(self) -> &'static str {
        match self {
            Self::New | Self::Anew => "activate",
            Self::Back => "roll back",
            Self::Recovery => "recover",
        }
    }
}

/// Rules that are to come into force.
struct Coming<'a> {
    bundle: &'a Bundle,
    /// Of all of it: worked out once.
    hash: PolicyHash,
    by: &'a By,
    why: Why,
}

impl<'a> Coming<'a> {
    fn new(bundle: &'a Bundle, by: &'a By, why: Why) -> Self {
        Self { bundle, hash: bundle.hash(), by, why }
    }

    fn is_in_force(&self, active: &Active) -> bool {
        let anew = self.why == Why::Anew && active.unreviewed().next().is_some();
        active.set.is_some() && active.hash == self.hash && !anew
    }
}

impl Authority {
    /// Puts a bundle in force, and answers once no permit is left that was made under the one before.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn activate(&self, bundle: &Bundle, by: &By) -> Result<Activated, Failed> {
        self.put_in_force(&Coming::new(bundle, by, Why::New)).await
    }

    /// The same, said by an operator now: what the bundle says of tools is said of the definitions that people
    /// have accepted meanwhile too (B25), even where this very bundle is in force already.
    ///
    /// # Errors
    /// As [`Authority::activate`].
    pub async fn activate_anew(&self, bundle: &Bundle, by: &By) -> Result<Activated, Failed> {
        self.put_in_force(&Coming::new(bundle, by, Why::Anew)).await
    }

    /// Puts a revision in force that was before.
    ///
    /// # Errors
    /// As [`Authority::activate`]; also when the revision cannot be read.
    pub async fn roll_back(&self, revision: &Policy, by: &By) -> Result<Activated, Failed> {
        let bundle = Bundle::from_json(&revision.bundle).ok().filter(|it| it.hash() == revision.hash);
        let failed =
            || Failed { doing: "reading a revision", because: "it is not what its hash says".into() };
        self.put_in_force(&Coming::new(&bundle.ok_or_else(failed)?, by, Why::Back)).await
    }

    /// Puts a bundle in force without asking the rules: for whoever is locked out by them, and has the store and the keys to
    /// themselves. It is recorded as what it is.
    ///
    /// # Errors
    /// As [`Authority::activate`].
    pub async fn recover(&self, bundle: &Bundle, by: &By) -> Result<Activated, Failed> {
        self.put_in_force(&Coming::new(bundle, by, Why::Recovery)).await
    }

    async fn put_in_force(&self, coming: &Coming<'_>) -> Result<Activated, Failed> {
        let active = self.active();
        let (held_against, bundle) = (Arc::clone(&active), coming.bundle.clone());
        match self.apart("reading rules", move || held_against.compile(&bundle)).await? {
            Ok(set) => {
                // A folder is empty for a moment while it is replaced: that is no record.
                if let Some(lost) = active.loses_all(&set) {
                    return Ok(Activated::Wrong(vec![lost]));
                }
                let compiled = Compiled { hash: coming.hash, set: Arc::new(set) };
                self.compiled.store(Some(Arc::new(compiled)));
            }
            Err(findings) => {
                self.refuse_rules(coming, &findings).await?;
                return Ok(Activated::Wrong(findings));
            }
        }
        let active = self.active();
        if coming.is_in_force(&active) {
            return Ok(Activated::Already);
        }
        let leave = match self.leave_to_change(&active, coming).await? {
            Ok(leave) => leave,
            Err(instead) => return Ok(instead),
        };
        let refs = leave.refs(Refs { policy: Some(coming.hash), ..Refs::default() });
        let stale = |_| Failed { doing: "activating policy", because: "it took too long".to_owned() };
        let doing = leave.begin().map_err(stale)?;
        let answer = self.commit_rules(active.hash, coming, (&doing, refs)).await?;
        match answer {
            Ok(true) => self.recorded(doing),
            Ok(false) => self.done(doing, Outcome::Done).await?,
            Err(_) => self.done(doing, Outcome::Failed).await?,
        }
        self.quiet().await;
        if answer == Ok(true) {
            self.close_proposals_or_warn().await;
        }
        match answer {
            Ok(changed) => Ok(if changed { Activated::Done } else { Activated::Already }),
            Err(refused) => Err(Failed { doing: "activating policy", because: refused.to_string() }),
        }
    }

    /// Whether somebody may change the rules without anybody else.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn may_change_rules(&self, by: &By) -> Result<bool, Failed> {
        self.free(by, Part::Policy, proposal::outline(Why::New.act())).await
    }

    /// Asks those in force. The difference is made only where somebody is to decide on it.
    async fn leave_to_change(
        &self,
        active: &Active,
        coming: &Coming<'_>,
    ) -> Result<Result<Leave, Activated>, Failed> {
        let &Coming { bundle, by, why, .. } = coming;
        if why == Why::Recovery || self.free(by, Part::Policy, proposal::outline(why.act())).await? {
            return Ok(Ok(Leave::FREE));
        }
        let anew = active.unreviewed().filter(|_| why == Why::Anew).map(|tool| tool.id()).collect();
        let Ok(said) =
            proposal::said(why.act(), (&active.bundle, active.hash, active.revision), bundle, anew)
        else {
            let says = "the change has more than 64 KiB of differences, too many for whoever would approve it to read";
            let at = Place { file: "the change".to_owned(), ..Place::default() };
            let finding =
                Finding::new(Code::ChangeTooLarge, &at, says).suggesting("make it in smaller steps");
            return Ok(Err(Activated::Wrong(vec![finding])));
        };
        Ok(self.leave(by, Part::Policy, said).await?.map_err(Activated::Stopped))
    }

    /// People and pins may change meanwhile; the rules that let these in may not. Whether anything changed.
    async fn commit_rules(
        &self,
        judged_under: PolicyHash,
        coming: &Coming<'_>,
        (doing, refs): (&Doing, Refs),
    ) -> Result<Result<bool, Refused>, Failed> {
        for _ in 0..TRIES {
            let active = self.active();
            if coming.is_in_force(&active) {
                return Ok(Ok(false));
            }
            if active.hash != judged_under {
                break;
            }
            let mut commit = self.activation(&active, coming, refs.clone());
            self.with_outcome(&mut commit, doing);
            match self.commit(commit).await? {
                Ok(_) => return Ok(Ok(true)),
                Err(Refused::Stale(_)) => {}
                Err(refused) => return Ok(Err(refused)),
            }
        }
        Ok(Err(Refused::Conflict))
    }

    async fn refuse_rules(&self, coming: &Coming<'_>, findings: &[Finding]) -> Result<(), Failed> {
        let why = findings.first().map(ToString::to_string).unwrap_or_default();
        self.record_refused(body::PolicyRefused { policy: Some(coming.hash), why, by: coming.by.to_string() })
            .await
    }

    /// Records that what was to come into force could not even be read.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn refuse_unread(&self, why: String, by: &By) -> Result<(), Failed> {
        self.record_refused(body::PolicyRefused { policy: None, why, by: by.to_string() }).await
    }

    async fn record_refused(&self, record: body::PolicyRefused) -> Result<(), Failed> {
        let commit = Commit { changes: Vec::new(), records: vec![self.record(Refs::default(), &record)] };
        self.commit(commit).await.map(drop)
    }

    fn activation(&self, active: &Active, coming: &Coming<'_>, refs: Refs) -> Commit {
        let (hash, by) = (coming.hash, coming.by.to_string());
        let human = active.person_of(&by).map(|human| human.id);
        let record = body::PolicyActivated {
            policy: hash,
            epoch: u32::try_from(active.epoch.0.saturating_add(1)).unwrap_or(u32::MAX),
            by: by.clone(),
            human,
        };
        let mut records = vec![self.record(refs.clone(), &record)];
        if coming.why == Why::Recovery {
            records.push(self.record(refs, &body::PolicyRecovered { policy: hash, by: by.clone(), human }));
        }
        let change = Change::Activate { hash, bundle: coming.bundle.to_json(), by, expects: active.epoch };
        Commit { changes: vec![change], records }
    }

    /// The revisions that are or were in force, newest first.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn revisions(&self, most: u32) -> Result<Vec<Policy>, Failed> {
        self.store.policies(most).await
    }
}
