//! Why: what rules say of an access that is only supposed, and of one that is in the log. Nothing here decides, opens or
//! records anything, and only people at the desk are told it: rules and names are no caller's to know (T124).

use std::collections::BTreeSet;
use std::sync::Arc;

use audit::Envelope;
use audit::envelope::References;
use audit::record::Kind as Recorded;
use elevation::{Eligible, Evidence, GrantState, Leaf, Pending, State, Weighed, attainable, weigh};
use policy::{DenyReason, Judgement, Moment, PolicySet, Question, RuleId};
use store::{Failed, LogLine, Whole};
use terms::access::SealKey;
use terms::{
    Access, Action, Caller, CallerId, HumanId, Json, Kind, PolicyHash, RecordId, Requirement, Secrets, Slug,
    Time, Tree, UpstreamHash, Uri,
};

use crate::active::Active;
use crate::authority::Authority;
use crate::bundle::Bundle;
use crate::card::headline;
use crate::decide::{Ask, Case, standing};
use crate::leaves::group;
use crate::preflight::Preflight;
use crate::target::Target;

/// An access as somebody supposes it.
#[derive(Clone, Debug)]
pub struct Supposed {
    /// Who would ask.
    pub caller: CallerId,
    /// What would be done.
    pub action: Action,
    /// To what.
    pub kind: Kind,
    /// Of which upstream.
    pub upstream: String,
    /// Under which name.
    pub name: String,
    /// With which arguments.
    pub arguments: Json,
    /// Why, as the caller would say.
    pub purpose: Option<String>,
    /// Under which ticket, as the caller would say.
    pub ticket: Option<String>,
    /// From which address.
    pub source: String,
}

/// Why an access cannot be supposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSupposed {
    /// There is no such caller that is not disabled.
    #[error("there is no caller like that, or it is disabled")]
    Caller,
    /// There is no such person.
    #[error("there is no person like that")]
    Person,
    /// Nothing of that name is pinned.
    #[error("nothing of that name is pinned")]
    Target,
    /// What is to be read is named by what no upstream would be sent.
    #[error("the URI would be refused: {0}")]
    Uri(String),
    /// The arguments are none.
    #[error("the arguments are no JSON object that an access can have")]
    Arguments,
    /// Nothing is in force.
    #[error("no rules are in force: everything is denied")]
    NoRules,
}

/// One rule, as it stands or stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRule {
    /// Its `@id`.
    pub id: String,
    /// Where it stands.
    pub place: String,
    /// Its text, without what is written before it.
    pub text: String,
}

/// What it takes, and who could give it.
#[derive(Clone, Debug, PartialEq)]
pub struct Takes {
    /// Every requirement that applies, joined.
    pub requirement: Requirement,
    /// Line by line along the shortest way, with the names of those who could give each.
    pub lines: Vec<(Leaf, Vec<String>)>,
    /// Whether it is met.
    pub met: bool,
    /// Whether the people who are there could meet it.
    pub attainable: bool,
    /// The `permit`s that let it through then.
    pub permits: Vec<RuleId>,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq)]
pub enum Would {
    /// It runs as it is.
    Permit,
    /// It is denied, whatever evidence there is.
    Deny(DenyReason),
    /// It takes this first.
    StepUp(Box<Takes>),
}

/// What the rules say of a supposed access.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The access, as a card would head it.
    pub headline: String,
    /// What they say.
    pub would: Would,
    /// The rules that determine it.
    pub rules: Vec<ShownRule>,
    /// Where the definition stands, if not accepted: then nothing runs whatever the rules say.
    pub stopped: Option<&'static str>,
    /// Whether a lock stops it: then nothing runs either.
    pub locked: bool,
    /// What is wrong with its arguments: its caller is told that before anything is decided.
    pub misfit: Option<String>,
    /// Whether its caller may know of what it reaches for; who may not is told as if it were not there.
    pub seen: bool,
    /// What its caller would be told now, with its requests and grants, and what was rejected lately; `None` under other rules
    /// than those in force, and of what is in the log.
    pub now: Option<Preflight>,
    /// Whether it is a change of this installation, which is made and does not run.
    pub change: bool,
}

/// What the log holds of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The record.
    pub id: RecordId,
    /// What kind.
    pub kind: String,
    /// When.
    pub at: Time,
    /// The body, as it is recorded.
    pub body: Json,
    /// The policy that was in force; `None` where the record names none.
    pub policy: Option<PolicyHash>,
    /// The rules that determined it, as they stood then.
    pub rules: Vec<ShownRule>,
    /// What the rules in force say of the same access now, with what its request has gathered; `None` where the record is of
    /// no access, or its caller or what it reached for is no more.
    pub today: Option<Explained>,
}

/// Records that are looked through for one whose time is known, a few of them before that time: what was committed at once with
/// it.
const NEAR: u64 = 200;
const LOOKED_THROUGH: u32 = 2000;

/// An access with all that rules are asked about.
struct Known<'a> {
    caller: &'a Caller,
    target: &'a Target,
    access: &'a Access,
    moment: &'a Moment,
    /// Who touched before what it touches.
    preparers: BTreeSet<HumanId>,
}

impl Authority {
    /// What the rules in force, or those that would be ([`Active::under`]), say of a supposed access.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotSupposed`] when there is nothing to ask about.
    pub async fn suppose(
        &self,
        supposed: &Supposed,
        under: Option<&Active>,
    ) -> Result<Result<Explained, NotSupposed>, Failed> {
        let in_force = self.active();
        let active = under.unwrap_or(&in_force);
        let Some(set) = active.set.as_deref() else { return Ok(Err(NotSupposed::NoRules)) };
        let identity = self.upstreams.load().get(&supposed.upstream).map(|it| it.identity);
        if let Some(why) = unreadable(supposed, identity) {
            return Ok(Err(why));
        }
        let (caller, target, access) = match active.supposed(supposed, identity, self.seal_key()) {
            Ok(all) => all,
            Err(why) => return Ok(Err(why)),
        };
        let moment = self.moment(active, caller.id, &access, &supposed.source).await?;
        let preparers = self.preparers(active, &target, &access).await?;
        let known = Known { caller, target: &target, access: &access, moment: &moment, preparers };
        let misfit = self.misfit(&target, &supposed.arguments);
        let explained = self.explained(active, set, &known, &supposed.evidence());
        let now = match under {
            None => Some(self.foreseen_for(active, caller, access.clone(), supposed).await?),
            Some(_) => None,
        };
        Ok(Ok(Explained { misfit, now, ..explained }))
    }

    /// What its caller would be told now.
    async fn foreseen_for(
        &self,
        active: &Active,
        caller: &Arc<Caller>,
        access: Access,
        supposed: &Supposed,
    ) -> Result<Preflight, Failed> {
        let ask = Ask {
            caller: Arc::clone(caller),
            access,
            secrets: Secrets::default(),
            source: supposed.source.clone(),
            purpose: supposed.purpose.clone(),
            ticket: supposed.ticket.clone(),
            once: None,
        };
        let case = Case { active, ask: &ask, caller: Arc::clone(caller), back: None };
        Ok(self.foreseen(&case).await?.0)
    }

    /// Who touched before what an access touches, as far as anybody knows.
    async fn preparers(
        &self,
        active: &Active,
        target: &Arc<Target>,
        access: &Access,
    ) -> Result<BTreeSet<HumanId>, Failed> {
        let touching = self.touching(active, target, access).await?;
        Ok(touching.map(|touching| touching.people).unwrap_or_default())
    }

    fn explained(
        &self,
        active: &Active,
        set: &PolicySet,
        known: &Known<'_>,
        evidence: &Evidence,
    ) -> Explained {
        let Known { caller, target, access, moment, preparers } = known;
        let question = Question { caller, access, target: &target.judged, moment };
        let (would, by) = active.would(set, &question, preparers, (evidence, self.now()));
        Explained {
            headline: headline(target, access).text,
            would,
            rules: shown(set, &by),
            stopped: Some(target.state()).filter(|state| *state != "accepted"),
            locked: active.lock_on(caller, access, self.now()).is_some(),
            misfit: None,
            seen: access.reaches().is_none() || set.may_discover(caller, &target.judged).yes(),
            now: None,
            change: access.reaches().is_none(),
        }
    }

    /// Why a request was stopped: the record with which it was opened. `None` where that is not found.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn why_stopped(&self, request: &Pending) -> Result<Option<Told>, Failed> {
        let line = self.opened_by(request).await?;
        match line {
            Some(line) => self.told_of(line).await.map(Some),
            None => Ok(None),
        }
    }

    /// The record of the challenge, found by its time: that rises with the leaves, but for what is committed at once.
    async fn opened_by(&self, request: &Pending) -> Result<Option<LogLine>, Failed> {
        let (mut low, mut high) = (0, self.store.head().await?.size);
        while low < high {
            let middle = low + (high - low) / 2;
            let line = self.store.records(middle, 1).await?;
            if line.first().is_some_and(|line| line.at < request.opened_at) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let lines = self.store.records(low.saturating_sub(NEAR), LOOKED_THROUGH).await?;
        let opens = |line: &LogLine| {
            let envelope = Envelope::read(&line.envelope);
            envelope
                .is_some_and(|it| it.kind == Recorded::Challenged && it.refs.elevation == Some(request.id))
        };
        Ok(lines.into_iter().find(opens))
    }

    /// What the rules in force say of the access of a record.
    async fn of_today(&self, refs: &References, body: &Json) -> Result<Option<Explained>, Failed> {
        let active = self.active();
        let access = body.get("access").and_then(Access::from_json);
        let caller = refs.caller.and_then(|id| active.people.caller(id));
        let (Some(set), Some(access), Some(caller)) = (active.set.as_deref(), access, caller) else {
            return Ok(None);
        };
        let Some(target) = active.target_of(&access) else { return Ok(None) };
        let source = body.get("caller").and_then(|who| who.get("source")).and_then(Json::as_str);
        let moment = self.moment(&active, caller.id, &access, source.unwrap_or_default()).await?;
        let preparers = self.preparers(&active, &target, &access).await?;
        let known = Known { caller, target: &target, access: &access, moment: &moment, preparers };
        let gathered = match refs.elevation {
            // What was used up, or is over otherwise, is asked for again.
            Some(id) => {
                let counts = |whole: &Whole| match &whole.grant {
                    Some(grant) => grant.state(self.now()) == GrantState::Live,
                    None => whole.state == State::Pending,
                };
                let whole = self.store.elevation(id).await?.filter(counts);
                whole.map(|whole| standing(&active, &whole.request))
            }
            None => None,
        };
        Ok(Some(self.explained(&active, set, &known, &gathered.unwrap_or_default())))
    }

    /// A decision that is in the log, with the rules as they stood; `None` when there is no such record.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn told(&self, id: RecordId) -> Result<Option<Told>, Failed> {
        match self.store.record(id).await? {
            Some(line) => self.told_of(line).await.map(Some),
            None => Ok(None),
        }
    }

    async fn told_of(&self, line: LogLine) -> Result<Told, Failed> {
        let body = line.body.as_ref().and_then(|(body, _)| terms::json::parse(body).ok());
        let body = body.unwrap_or(Json::Null);
        let refs = Envelope::read(&line.envelope).map(|envelope| envelope.refs).unwrap_or_default();
        let policy = refs.policy;
        let named = body.get("by").and_then(Json::as_array).unwrap_or_default();
        let named: Vec<&str> = named.iter().filter_map(Json::as_str).collect();
        let mut rules = Vec::new();
        if let Some(set) = self.rules_of(policy).await? {
            let all: Vec<RuleId> =
                set.rules().filter(|rule| named.contains(&rule.as_str())).cloned().collect();
            rules = shown(&set, &all);
        }
        let today = self.of_today(&refs, &body).await?;
        Ok(Told { id: line.id, kind: line.kind, at: line.at, body, policy, rules, today })
    }

    /// The rules of a revision that was in force once.
    async fn rules_of(&self, policy: Option<PolicyHash>) -> Result<Option<PolicySet>, Failed> {
        let Some(hash) = policy else { return Ok(None) };
        let stored = self.store.policy(hash).await?;
        let bundle = stored.and_then(|stored| Bundle::from_json(&stored.bundle).ok());
        let Some(bundle) = bundle.filter(|bundle| bundle.hash() == hash) else { return Ok(None) };
        self.apart("reading earlier rules", move || bundle.compile().ok()).await
    }
}

/// Why a resource could not even be named to its upstream.
fn unreadable(supposed: &Supposed, identity: Option<UpstreamHash>) -> Option<NotSupposed> {
    if supposed.kind != Kind::Resource {
        return None;
    }
    let refused = Uri::new(&supposed.name).err().map(|why| NotSupposed::Uri(why.to_string()));
    refused.or_else(|| identity.is_none().then_some(NotSupposed::Target))
}

impl Would {
    /// What it comes to, for people.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            Self::Permit => "Permitted as it is.".to_owned(),
            Self::StepUp(takes) if takes.met => {
                format!("It took more, and has it: {}.", takes.requirement.label())
            }
            Self::StepUp(takes) => format!("It takes more first: {}.", takes.requirement.label()),
            Self::Deny(DenyReason::NotPermitted) => "Denied: no rule permits it.".to_owned(),
            Self::Deny(DenyReason::Forbidden) => {
                "Denied: a rule forbids it, whatever anybody approves.".to_owned()
            }
            Self::Deny(DenyReason::Unjudgeable(pointers)) => {
                let pointers: Vec<String> = pointers.iter().map(ToString::to_string).collect();
                let pointers = pointers.join(", ");
                format!("Denied: rules speak of {pointers}, which has no value that they can judge.")
            }
            Self::Deny(DenyReason::Failed) => "Denied: a rule could not be evaluated.".to_owned(),
            Self::Deny(DenyReason::ActionUnknown) => {
                "Denied: that is nothing that this caller could do to it.".to_owned()
            }
        }
    }

    /// The shortest way to yes, where it is not line by line in what it takes.
    #[must_use]
    pub const fn way(&self) -> Option<&'static str> {
        match self {
            Self::Permit => None,
            Self::StepUp(takes) if takes.attainable => None,
            Self::StepUp(_) => {
                Some("Nobody who is there could give all of that: it is denied until somebody can.")
            }
            Self::Deny(why) => Some(match why {
                DenyReason::NotPermitted => {
                    "To allow it, a `permit` has to name this caller, this action and this resource."
                }
                DenyReason::Forbidden => {
                    "To allow it, that rule has to be changed; with `@stepup` it could be lifted by an approval."
                }
                DenyReason::Unjudgeable(_) => {
                    "Send a value of the type that the definition states; a number has four decimals at most."
                }
                DenyReason::Failed => "See what `stepup policy check` says of it.",
                DenyReason::ActionUnknown => "See `stepup policy schema` for what there is.",
            }),
        }
    }
}

impl Explained {
    /// What stops it whatever the rules say.
    #[must_use]
    pub fn held(&self) -> Vec<String> {
        let misfit = self.misfit.as_ref().map(|what| {
            let row = Slug::ArgumentsInvalid.row();
            let (told, happened) = (row.name, row.happened);
            format!("Nothing runs, and its caller is told {told}: {happened} ({what}) Were they taken, the rules would say:")
        });
        let state = self.stopped.map(|state| {
            format!("Nothing runs: its definition is {state}. Were it accepted, the rules would say:")
        });
        let locked = self
            .locked
            .then(|| "Nothing runs: a lock stops it. Were that lifted, the rules would say:".to_owned());
        let unseen = (!self.seen).then(|| {
            "Its caller may not know of it, and is told as if it were not there. Of that, the rules say:"
                .to_owned()
        });
        let denied = self.denied_now().map(|row| {
            format!(
                "Nothing runs now, and its caller is told {}: {} Later, the rules would say:",
                row.name, row.happened
            )
        });
        let all = [misfit, state, locked, unseen, denied];
        all.into_iter().flatten().collect()
    }

    /// Why it would be denied now, where the rules would let people decide.
    fn denied_now(&self) -> Option<&'static terms::slug::Row> {
        let Some(Preflight::Denied(denial)) = &self.now else { return None };
        let told = self.locked || self.stopped.is_some() || denial.slug == Slug::NobodyMayApprove;
        (!told && matches!(self.would, Would::StepUp(_))).then(|| denial.slug.row())
    }

    /// What its caller has of it already.
    #[must_use]
    pub fn has(&self) -> Option<String> {
        match &self.now {
            Some(Preflight::Permitted { granted: true }) => {
                Some("An approval of it is there: it would run now, and use that once.".to_owned())
            }
            Some(Preflight::NeedsApproval(needs)) => {
                needs.waits.map(|id| format!("It was asked for, and waits: {id}"))
            }
            Some(
                Preflight::Permitted { granted: false } | Preflight::Depends { .. } | Preflight::Denied(_),
            )
            | None => None,
        }
    }
}

impl Takes {
    /// What is said of a line that nobody could give.
    pub const NOBODY: &str = "nobody who could has a passkey";

    /// Each line: what it asks for, whether it is met, and who could give it, where that is a person's to give.
    pub fn told(&self) -> impl Iterator<Item = (String, bool, Option<&[String]>)> + '_ {
        self.lines.iter().map(|(leaf, who)| {
            let could = match leaf.leaf {
                Tree::Approvals { .. } | Tree::Owner { .. } => Some(who.as_slice()),
                Tree::All(_) | Tree::Any(_) | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => None,
            };
            (leaf.says(), leaf.met(), could)
        })
    }
}

impl Supposed {
    /// What its caller would say beside the access.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence { purpose: self.purpose.clone(), ticket: self.ticket.clone(), ..Evidence::default() }
    }
}

impl Active {
    /// Who would ask, of what, and the access that it would be. Of which upstream exactly is no matter to rules.
    pub(crate) fn supposed(
        &self,
        supposed: &Supposed,
        identity: Option<UpstreamHash>,
        seal: &SealKey,
    ) -> Result<(&Arc<Caller>, Arc<Target>, Access), NotSupposed> {
        let caller = self.people.caller(supposed.caller).ok_or(NotSupposed::Caller)?;
        let target = self.target(supposed.kind, &supposed.upstream, &supposed.name);
        let target = target.ok_or(NotSupposed::Target)?;
        let resource = target.resource(identity.unwrap_or_else(|| UpstreamHash::of(&Json::Null)));
        let (action, secrets) = (supposed.action.name(), &target.settings.secrets);
        let arguments = supposed.arguments.clone();
        let made = Access::new(caller.subject(), action, resource, arguments, secrets, seal);
        let (access, _) = made.map_err(|_| NotSupposed::Arguments)?;
        Ok((caller, target, access))
    }

    /// What rules say, and how far the evidence goes.
    pub(crate) fn would(
        &self,
        set: &PolicySet,
        question: &Question<'_>,
        preparers: &BTreeSet<HumanId>,
        (evidence, now): (&Evidence, Time),
    ) -> (Would, Vec<RuleId>) {
        let (requirement, by, permits) = match policy::judge(set, question) {
            Judgement::Permit { by } => return (Would::Permit, by),
            Judgement::Deny { by, why } => return (Would::Deny(why), by),
            Judgement::StepUp { requirement, by, permits } => (requirement, by, permits),
        };
        let asked = (&requirement, evidence.votes.len());
        let eligible = self.eligible(set, question, preparers, asked);
        let weighed = weigh(&requirement, evidence, &eligible, now);
        let met = matches!(weighed, Weighed::Met(_));
        let (Weighed::Met(parts) | Weighed::Missing(parts)) = weighed;
        let leaves = parts.into_iter().flat_map(|(_, leaves)| leaves);
        let lines = leaves.map(|leaf| {
            let who = self.who(&leaf.leaf, &eligible);
            (leaf, who)
        });
        let attainable = attainable(&requirement, &eligible, question.caller.key_bound);
        let takes = Takes { lines: lines.collect(), met, attainable, requirement, permits };
        (Would::StepUp(Box::new(takes)), by)
    }

    /// The names of those who could fill a line.
    fn who(&self, leaf: &Tree, eligible: &Eligible) -> Vec<String> {
        let named = |root: &terms::HumanId| self.human(*root).map(|human| human.name.clone());
        let signs = |root: &&terms::HumanId| self.people.signs(**root);
        let mut names: Vec<String> = match (group(leaf), leaf) {
            (Some(from), _) => {
                let of = eligible.approvers.iter().filter(|(_, groups)| groups.contains(from));
                of.map(|(root, _)| root).filter(signs).filter_map(named).collect()
            }
            (None, Tree::Owner { .. }) => eligible.owners.iter().filter(signs).filter_map(named).collect(),
            (None, _) => Vec::new(),
        };
        names.sort();
        names
    }
}

pub(crate) fn shown(set: &PolicySet, by: &[RuleId]) -> Vec<ShownRule> {
    let rule = |id: &RuleId| {
        let (place, text) = set.source(id)?;
        Some(ShownRule { id: id.to_string(), place: place.to_string(), text: text.to_owned() })
    };
    by.iter().filter_map(rule).collect()
}
