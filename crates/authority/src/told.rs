//! What people outside are told: events, in the commit of what they tell of, so that none is lost and none tells of what
//! did not happen. Who is told, and how, is not known here; whoever tells asks [`Authority::concerned`], later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use audit::body;
use audit::record::Refs;
use elevation::{Conclusion, Eligible, Pending, State};
use store::{Change, Commit, Failed, GivenUp, Notice, Refused, Whole};
use terms::card::Card;
use terms::{Access, ElevationId, HumanId, Json, Kind, Requirement, Time, Tree};

use crate::active::Active;
use crate::authority::Authority;
use crate::card::headline;
use crate::leaves;

/// The people whom a request concerns, and which parts of the configuration speak of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// The parts of what it takes, each with the groups that it asks.
    pub parts: BTreeMap<String, BTreeSet<String>>,
    /// Those who can approve it.
    pub approvers: Vec<Person>,
    /// The person who owns its caller. Who that is can approve nothing of it.
    pub owner: Option<Person>,
    /// Whether the owner is asked to confirm it.
    pub confirms: bool,
}

/// One person, by every name that they have here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The names of their identities.
    pub names: BTreeSet<String>,
    /// The groups that they are in.
    pub groups: BTreeSet<String>,
}

impl Authority {
    /// A request was opened.
    pub(crate) fn opened(&self, pending: &Pending, card: &Card) -> Change {
        let (kind, body) = self.opening(pending, card);
        Change::Notify { kind, body }
    }

    fn opening(&self, pending: &Pending, card: &Card) -> (String, String) {
        let needs = card.needed.iter().filter(|leaf| !leaf.met).map(|leaf| Json::from(leaf.leaf.as_str()));
        let more = [
            ("needs", Json::Array(needs.collect())),
            ("expires_at", Json::from(pending.expires_at)),
            ("words", Json::from(card.words.to_vec())),
        ];
        let said = [("ticket", optional(pending.ticket.as_deref()))];
        self.event("opened", pending, more, said)
    }

    /// A request is over: how, and by whom where people did it.
    pub(crate) fn over(&self, pending: &Pending, to: Conclusion, by: &[String], why: Option<&str>) -> Change {
        let (kind, body) = self.ending(pending, to, by, why);
        Change::Notify { kind, body }
    }

    fn ending(
        &self,
        pending: &Pending,
        to: Conclusion,
        by: &[String],
        why: Option<&str>,
    ) -> (String, String) {
        let by = Json::Array(by.iter().map(|name| Json::from(name.as_str())).collect());
        self.event(State::Concluded(to).name(), pending, [("by", by)], [("why", optional(why))])
    }

    /// What everybody may be told is `data`: names that were registered here, and no argument, no URI and no sentence of
    /// anybody (C2, T112). What callers and people said is `said`: told where the operator wants that.
    fn event<const N: usize, const M: usize>(
        &self,
        what: &str,
        pending: &Pending,
        more: [(&str, Json); N],
        said: [(&str, Json); M],
    ) -> (String, String) {
        let active = self.active();
        let access = &pending.access;
        let target = active.target_of(access);
        let environment = target.as_ref().map_or("", |target| target.environment.as_str());
        let title = target.as_ref().map(|target| headline(target, access).text);
        let data = [
            ("elevation", Json::from(pending.id)),
            ("environment", Json::from(environment)),
            ("caller", Json::from(access.subject().id.as_str())),
            ("owner", Json::from(access.subject().owner.as_str())),
            ("action", Json::from(access.action())),
            ("tool", Json::from(public_name(access))),
        ];
        let kind = format!("elevation.{what}");
        let body = Json::object([
            ("type", Json::from(kind.as_str())),
            ("timestamp", Json::from(self.now())),
            ("data", Json::object(data.into_iter().chain(more))),
            ("said", Json::object([("title", optional(title.as_deref()))].into_iter().chain(said))),
        ]);
        (kind, body.text())
    }

    /// What was told, or would be, of a request as it stands: kind and text. The card is that of one that waits.
    #[must_use]
    pub fn event_of(&self, whole: &Whole, card: Option<&Card>) -> (String, String) {
        let pending = &whole.request;
        match (whole.state, card) {
            (State::Pending, Some(card)) => self.opening(pending, card),
            (State::Pending, None) => self.ending(pending, Conclusion::Expired, &[], None),
            (State::Concluded(to), _) => {
                let signed: BTreeSet<String> = pending.votes.iter().map(|vote| vote.name.clone()).collect();
                let by = match (to, &whole.concluded_by) {
                    (Conclusion::Approved, _) => signed.into_iter().collect(),
                    (_, Some(by)) => vec![self.active().name_of(by)],
                    (_, None) => Vec::new(),
                };
                self.ending(pending, to, &by, whole.why.as_deref())
            }
        }
    }

    /// The person who owns the caller of a request.
    #[must_use]
    pub fn owner_of(&self, whole: &Whole) -> Option<HumanId> {
        self.active().people.owner_of(whole.request.caller)
    }

    /// Whom a request concerns, as things stand now; `None` where there is none such.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn concerned(&self, id: ElevationId) -> Result<Option<Concerned>, Failed> {
        let Some(whole) = self.store.elevation(id).await? else { return Ok(None) };
        let active = self.active();
        let Whole { request, .. } = &whole;
        // Whether its upstream is there now, or yet, is not asked: who is told after a start is who would be asked.
        let caller = active.people.who_makes(request.caller, &request.access);
        let target = active.target_of(&request.access);
        let eligible = match caller.zip(target) {
            Some((caller, target)) => self.today_of(&active, request.clone(), caller, target).await?.eligible,
            None => Eligible::default(),
        };
        let owner = self.owner_of(&whole);
        let confirm = |leaf: &Tree| matches!(leaf, Tree::Owner { .. });
        Ok(Some(Concerned {
            parts: asked_groups(&request.requirement),
            approvers: eligible.approvers.keys().map(|root| person(&active, *root)).collect(),
            owner: owner.map(|root| person(&active, root)),
            confirms: leaves::leaves(&request.requirement).into_iter().any(confirm),
        }))
    }

    /// How many notifications were given up in this run.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Gives a notification up, and records that nobody was told: `why` in words of ours.
    ///
    /// # Errors
    /// [`Failed`] when the store does, or has no room: it then waits to be given up again.
    pub async fn give_up(&self, notice: &Notice, why: &str) -> Result<(), Failed> {
        let body = body::NotTold {
            channel: notice.way.channel.clone(),
            recipient: notice.way.recipient.clone(),
            event: notice.kind.clone(),
            count: 1,
            tries: notice.tries.saturating_add(1),
            since: Some(notice.at),
            why: why.to_owned(),
        };
        self.not_told(GivenUp::Notice(notice.id), notice.way.thread.parse().ok(), body).await
    }

    /// Records that so many notifications made room for newer ones.
    ///
    /// # Errors
    /// [`Failed`] when the store does, or has no room.
    pub async fn made_room(&self, count: u32) -> Result<(), Failed> {
        let body = body::NotTold {
            channel: String::new(),
            recipient: String::new(),
            event: String::new(),
            count,
            tries: 0,
            since: None::<Time>,
            why: "too many waited".to_owned(),
        };
        self.not_told(GivenUp::MadeRoom(count), None, body).await
    }

    async fn not_told(
        &self,
        what: GivenUp,
        elevation: Option<ElevationId>,
        body: body::NotTold,
    ) -> Result<(), Failed> {
        let count = body.count;
        let record = self.record(Refs { elevation, ..Refs::default() }, &body);
        let commit = Commit { changes: vec![Change::GiveUp(what)], records: vec![record] };
        match self.commit(commit).await? {
            Ok(_) => {
                self.given_up.fetch_add(u64::from(count), Ordering::Relaxed);
                Ok(())
            }
            Err(Refused::Missing) => Ok(()),
            Err(refused) => Err(Failed { doing: "giving up a notification", because: refused.to_string() }),
        }
    }
}

fn optional(text: Option<&str>) -> Json {
    text.map_or(Json::Null, Json::from)
}

/// The parts of a requirement, each with the groups that it asks.
#[must_use]
pub fn asked_groups(requirement: &Requirement) -> BTreeMap<String, BTreeSet<String>> {
    requirement.parts.iter().map(|(name, tree)| (name.clone(), groups(tree))).collect()
}

/// The groups that a tree asks approvals from.
fn groups(tree: &Tree) -> BTreeSet<String> {
    leaves::leaves_of(tree).into_iter().filter_map(leaves::group).map(str::to_owned).collect()
}

fn person(active: &Active, root: HumanId) -> Person {
    let names = active.humans().filter(|human| human.root == root).map(|human| human.name.clone());
    Person { names: names.collect(), groups: active.groups_of(root) }
}

/// What a notice may call it: never the words of a caller, as a URI is.
fn public_name(access: &Access) -> &str {
    let resource = access.resource();
    match Kind::named(&resource.kind) {
        Some(Kind::Tool | Kind::Prompt | Kind::Route | Kind::Operation | Kind::Installation) => &resource.id,
        Some(Kind::Resource) | None => resource.upstream_name(),
    }
}
