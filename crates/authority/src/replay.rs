//! What recorded decisions would have become under other rules: the accesses that the log holds, judged again. It is evidence for
//! whoever changes rules, and never a reason to put them in force.

use std::collections::BTreeMap;

use audit::body::{self, Who};
use audit::record::Kind;
use policy::{History, Judgement, Moment, Question};
use store::{Failed, LogLine};
use terms::card::{Unusual, UnusualText};
use terms::{Access, Json, RecordId, Slug, Time};

use crate::active::Active;
use crate::authority::Authority;
use crate::card::headline;

/// Records of one read.
const AT_ONCE: u32 = 1000;

/// Records that are judged in one go: somebody else's request waits no longer than for these.
const IN_ONE_GO: usize = 64;

/// Records that are looked at, at most.
const MOST: u64 = 200_000;

/// Examples that are kept of one change.
const EXAMPLES: usize = 3;

/// What rules say of an access, as far as a change of them can be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruled {
    /// It runs as it is.
    Permit,
    /// It takes this requirement first.
    StepUp(String),
    /// It is denied.
    Deny,
}

impl Ruled {
    fn past(&self) -> String {
        match self {
            Self::Permit => "permitted at once".to_owned(),
            Self::StepUp(requirement) => format!("stepped up ({requirement})"),
            Self::Deny => "denied".to_owned(),
        }
    }
}

/// The accesses whose ruling would be another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// How many.
    pub count: u32,
    /// How many of each caller.
    pub callers: BTreeMap<String, u32>,
    /// Some of them: the record, and the access as a card would head it.
    pub examples: Vec<(RecordId, String)>,
}

/// What became of the decisions of some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Decisions that were judged again.
    pub judged: u32,
    /// Those that could not be: their caller or target is no more, or the record's body was erased.
    pub lost: u32,
    /// Whether there were more than are looked at.
    pub cut: bool,
    /// From what to what.
    pub changes: BTreeMap<(Ruled, Ruled), Change>,
}

/// One recorded decision.
struct Decided {
    id: RecordId,
    at: Time,
    who: Who,
    access: Option<Json>,
    was: Ruled,
}

impl Authority {
    /// Judges the decisions since a moment again, under what would be in force ([`Active::under`]).
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn replay(&self, would: &Active, since: Time) -> Result<Replayed, Failed> {
        let mut replayed = Replayed::default();
        replayed.cut = self.since(since, |line| replayed.take((None, would), line)).await?;
        Ok(replayed)
    }

    /// The same, of at most so many records, and held against what is in force instead of what was then: what this one change does.
    pub(crate) async fn compare(&self, would: &Active, since: Time, most: u64) -> Result<Replayed, Failed> {
        let active = self.active();
        let mut replayed = Replayed::default();
        let take = |line: &LogLine| replayed.take((Some(&active), would), line);
        let cut = self.since_within(since, most, take).await?;
        Ok(Replayed { cut, ..replayed })
    }

    /// Looks at the records since a moment, newest thousand first; whether there were more than are looked at.
    pub(crate) async fn since(&self, since: Time, look: impl FnMut(&LogLine) + Send) -> Result<bool, Failed> {
        self.since_within(since, MOST, look).await
    }

    async fn since_within(
        &self,
        since: Time,
        most: u64,
        mut look: impl FnMut(&LogLine) + Send,
    ) -> Result<bool, Failed> {
        let head = self.store.head().await?.size;
        let (mut end, last) = (head, head.saturating_sub(most));
        while end > last {
            let from = end.saturating_sub(u64::from(AT_ONCE)).max(last);
            let number = u32::try_from(end - from).unwrap_or(AT_ONCE);
            let lines = self.store.records(from, number).await?;
            for some in lines.chunks(IN_ONE_GO) {
                some.iter().filter(|line| line.at >= since).for_each(&mut look);
                tokio::task::yield_now().await;
            }
            if lines.first().is_none_or(|line| line.at < since) {
                return Ok(false);
            }
            end = from;
        }
        Ok(last > 0)
    }
}

impl Replayed {
    /// In a sentence or two, for a card.
    pub(crate) fn says(&self) -> Vec<Unusual> {
        let say = |text: UnusualText, with: Vec<String>| Unusual { text, with };
        let judged = self.judged.to_string();
        if self.changes.is_empty() {
            return vec![say(UnusualText::WouldStay, vec![judged])];
        }
        let each = self.changes.iter().map(|((was, becomes), change)| {
            format!("{} {} would be {}", change.count, was.past(), becomes.past())
        });
        let changed: u32 = self.changes.values().map(|change| change.count).sum();
        let with = vec![changed.to_string(), judged, each.collect::<Vec<_>>().join("; ")];
        vec![say(UnusualText::WouldChange, with)]
    }

    fn take(&mut self, (instead, would): (Option<&Active>, &Active), line: &LogLine) {
        let Some(read) = decided(line) else { return };
        let Some((decided, was, (becomes, says))) = read.and_then(|decided| {
            let was = match instead {
                Some(active) => again(active, &decided)?.0,
                None => decided.was.clone(),
            };
            let again = again(would, &decided)?;
            Some((decided, was, again))
        }) else {
            self.lost += 1;
            return;
        };
        self.judged += 1;
        if becomes == was {
            return;
        }
        let change = self.changes.entry((was, becomes)).or_default();
        change.count += 1;
        *change.callers.entry(decided.who.name).or_default() += 1;
        if change.examples.len() < EXAMPLES {
            change.examples.push((decided.id, says));
        }
    }
}

/// The decision that a record is; `None` of any other record, and within it of one whose body is gone or was counted with
/// others.
fn decided(line: &LogLine) -> Option<Option<Decided>> {
    let kind = Kind::named(&line.kind)?;
    let body = || terms::json::parse(&line.body.as_ref()?.0).ok();
    let of =
        |who: Who, access: Option<Json>, was: Ruled| Decided { id: line.id, at: line.at, who, access, was };
    if kind == Kind::Permitted {
        let read = body().and_then(body::Permitted::from_json);
        return Some(read.map(|it| of(it.caller, Some(it.access), Ruled::Permit)));
    }
    if kind == Kind::Challenged {
        let read = body().and_then(body::Challenged::from_json);
        return Some(read.map(|it| of(it.caller, Some(it.access), Ruled::StepUp(it.requirement.label()))));
    }
    if kind != Kind::Denied {
        return None;
    }
    let Some(denied) = body().and_then(body::Denied::from_json) else { return Some(None) };
    let by_rules = [Slug::PolicyDenied, Slug::PolicyFailed, Slug::ArgumentUnjudgeable];
    let by_rules = by_rules.iter().any(|slug| slug.to_string() == denied.slug);
    by_rules.then(|| denied.access.map(|access| of(denied.caller, Some(access), Ruled::Deny)))
}

/// The same access, under what is or would be in force.
fn again(active: &Active, decided: &Decided) -> Option<(Ruled, String)> {
    let set = active.set.as_deref()?;
    let access = Access::from_json(decided.access.as_ref()?)?;
    let caller = active.people.caller(active.caller_named(&decided.who.name)?.id)?;
    let target = active.target_of(&access)?;
    // What its caller did before is not known of then.
    let history = Some(History { first_time: false, calls_1h: 0 });
    let moment = Moment { at: decided.at, source: decided.who.source.parse().ok(), history };
    let question = Question { caller, access: &access, target: &target.judged, moment: &moment };
    let ruled = match policy::judge(set, &question) {
        Judgement::Permit { .. } => Ruled::Permit,
        Judgement::Deny { .. } => Ruled::Deny,
        Judgement::StepUp { requirement, .. } => Ruled::StepUp(requirement.label()),
    };
    Some((ruled, headline(&target, &access).text))
}
