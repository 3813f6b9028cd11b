//! Why: what rules say of an access that is only supposed, and of one that is in the log. Nothing here decides, opens or
//! records anything, and only people at the desk are told it: rules and names are no caller's to know (T124).

use std::sync::Arc;

use elevation::{Eligible, Evidence, Leaf, Weighed, attainable, weigh};
use policy::{DenyReason, Judgement, PolicySet, Question, RuleId};
use store::Failed;
use terms::access::{Resource, SealKey};
use terms::{
    Access, Action, Caller, CallerId, Digest, Json, Kind, PolicyHash, RecordId, Requirement, Time, Tree,
    UpstreamHash,
};

use crate::active::Active;
use crate::authority::Authority;
use crate::bundle::Bundle;
use crate::card::headline;
use crate::leaves::group;
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
}

impl Authority {
    /// What the rules in force, or those of a bundle, say of a supposed access.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotSupposed`] when there is nothing to ask about.
    pub async fn suppose(
        &self,
        supposed: &Supposed,
        under: Option<&PolicySet>,
    ) -> Result<Result<Explained, NotSupposed>, Failed> {
        let active = self.active();
        let Some(set) = under.or(active.set.as_deref()) else { return Ok(Err(NotSupposed::NoRules)) };
        let identity = self.upstreams.load().get(&supposed.upstream).map(|it| it.identity);
        let (caller, target, access) = match active.supposed(supposed, identity, self.seal_key()) {
            Ok(all) => all,
            Err(why) => return Ok(Err(why)),
        };
        let moment = self.moment(&active, caller.id, &access, &supposed.source).await?;
        let question = Question { caller, access: &access, target: &target.judged, moment: &moment };
        let (would, by) = active.would(set, &question, &supposed.evidence(), self.now());
        Ok(Ok(Explained {
            headline: headline(&target, &access).text,
            would,
            rules: shown(set, &by),
            stopped: Some(target.state()).filter(|state| *state != "accepted"),
        }))
    }

    /// A decision that is in the log, with the rules as they stood; `None` when there is no such record.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn told(&self, id: RecordId) -> Result<Option<Told>, Failed> {
        let Some(line) = self.store.record(id).await? else { return Ok(None) };
        let read = |bytes: &[u8]| terms::json::parse(bytes).ok();
        let body = line.body.as_ref().and_then(|(body, _)| read(body)).unwrap_or(Json::Null);
        let digest = read(&line.envelope)
            .and_then(|envelope| envelope.get("refs")?.get("policy")?.as_str()?.parse::<Digest>().ok());
        let policy = digest.map(PolicyHash::from_digest);
        let named = body.get("by").and_then(Json::as_array).unwrap_or_default();
        let named: Vec<&str> = named.iter().filter_map(Json::as_str).collect();
        let mut rules = Vec::new();
        if let Some(set) = self.rules_of(policy).await? {
            let all: Vec<RuleId> =
                set.rules().filter(|rule| named.contains(&rule.as_str())).cloned().collect();
            rules = shown(&set, &all);
        }
        Ok(Some(Told { id, kind: line.kind, at: line.at, body, policy, rules }))
    }

    /// The rules of a revision that was in force once.
    async fn rules_of(&self, policy: Option<PolicyHash>) -> Result<Option<PolicySet>, Failed> {
        let Some(hash) = policy else { return Ok(None) };
        let stored = self.store.policy(hash).await?;
        let bundle = stored.and_then(|stored| Bundle::from_json(&stored.bundle).ok());
        Ok(bundle.filter(|bundle| bundle.hash() == hash).and_then(|bundle| bundle.compile().ok()))
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
    ) -> Result<(&Caller, Arc<Target>, Access), NotSupposed> {
        let caller = self.people.caller(supposed.caller).ok_or(NotSupposed::Caller)?;
        let target = self.target(supposed.kind, &supposed.upstream, &supposed.name);
        let target = target.ok_or(NotSupposed::Target)?;
        let resource = Resource {
            kind: target.kind.name().to_owned(),
            id: target.id(),
            definition: target.pin.digest,
            upstream: identity.unwrap_or_else(|| UpstreamHash::of(&Json::Null)),
        };
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
        evidence: &Evidence,
        now: Time,
    ) -> (Would, Vec<RuleId>) {
        let (requirement, by, permits) = match policy::judge(set, question) {
            Judgement::Permit { by } => return (Would::Permit, by),
            Judgement::Deny { by, why } => return (Would::Deny(why), by),
            Judgement::StepUp { requirement, by, permits } => (requirement, by, permits),
        };
        let eligible = self.eligible(set, question, &requirement, evidence.votes.len());
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
