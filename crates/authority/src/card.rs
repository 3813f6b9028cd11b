//! The card: made here from the canonical access and the rules, never from what the caller or the upstream
//! says of itself (R11, invariants 9 and 10).

use std::collections::BTreeSet;

use elevation::{Eligible, Pending};
use store::{Failed, Situation};
use terms::card::{
    CallerLine, Card, Claims, LastSame, Needed, ToolLine, Unusual, UnusualText, UpstreamLine, fields,
};
use terms::text::Flag;
use terms::{Access, Action, HumanId, Json, Kind, Millis, Part, Pointer, text};

use crate::active::Active;
use crate::authority::Authority;
use crate::decide::{lost, standing};
use crate::leaves::weighed;
use crate::proposal;
use crate::target::Target;
use crate::touching::Touching;
use crate::vote::Today;

/// What a viewer is shown of an elevation beside its card: what depends on the viewer and the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The card.
    pub card: Card,
    /// In which capacity the viewer can sign, or why not.
    pub can: Result<terms::statement::Role, String>,
    /// Whether the viewer can reject it.
    pub rejects: bool,
}

/// How far back decisions are judged again under proposed rules, and how many records are looked at for it: a card is shown in
/// a moment, and `stepup policy replay` looks at more.
const LOOKED_AT: Millis = Millis::seconds(7 * 24 * 3600);
const RECORDS: u64 = 5_000;

/// Characters of one argument in a headline; the whole value stands below it.
const IN_TITLE: usize = 60;

impl Authority {
    /// The card as it is now, for someone who looks at a pending request.
    pub(crate) async fn shown(&self, active: &Active, today: &Today) -> Result<Card, Failed> {
        let Today { pending, target, eligible, touching, .. } = today;
        let situation = self.store.standing(self.standing(pending.caller, &pending.access)).await?;
        self.card_of(active, pending, target, (eligible, touching), &situation).await
    }

    pub(crate) async fn card_of(
        &self,
        active: &Active,
        pending: &Pending,
        target: &Target,
        (eligible, touching): (&Eligible, &Touching),
        situation: &Situation,
    ) -> Result<Card, Failed> {
        let access = &pending.access;
        let lately = self.store.rejected_another(self.standing(pending.caller, access)).await?;
        let terms = &pending.requirement.terms;
        let would = self.would_become(active, access).await?;
        Ok(Card {
            title: headline(target, access).text,
            environment: target.environment.clone(),
            caller: self.caller_line(active, pending),
            fields: fields(access),
            defaults: defaults(target, access),
            references: references(target, access),
            free: access.free(&terms.binds),
            touches: touching.lines(active),
            claims: Claims { purpose: pending.purpose.clone(), ticket: pending.ticket.clone() },
            unusual: self.unusual(pending, target, situation, lately).into_iter().chain(would).collect(),
            last_same: situation.last.as_ref().and_then(|last| {
                let outcome = last.outcome?.name().to_owned();
                Some(LastSame { at: last.at, outcome })
            }),
            grants: terms.clone(),
            needed: self.needed(active, pending, eligible),
            tool: ToolLine {
                digest: target.pin.digest.to_string(),
                reviewed: target.settings.reviewed.clone(),
            },
            upstream: UpstreamLine {
                id: target.upstream.clone(),
                identity: access.resource().upstream.to_string(),
            },
            words: terms::words::words(pending.id, access.hash()).map(str::to_owned),
        })
    }

    fn caller_line(&self, active: &Active, pending: &Pending) -> CallerLine {
        let subject = pending.access.subject();
        let key = active.people.key(pending.key);
        CallerLine {
            name: subject.id.clone(),
            owner: subject.owner.clone(),
            chain: subject.act.clone(),
            key_bound: pending.key_bound,
            key_prefix: key.map(|key| key.prefix.clone()).unwrap_or_default(),
            source: pending.source.clone(),
        }
    }

    fn unusual(
        &self,
        pending: &Pending,
        target: &Target,
        situation: &Situation,
        lately: bool,
    ) -> Vec<Unusual> {
        let say = |text: UnusualText, with: Vec<String>| Some(Unusual { text, with });
        let name = pending.access.subject().id.clone();
        let secrets = fields(&pending.access).into_iter().filter(|f| f.secret).map(|f| f.label);
        let secrets: Vec<String> = secrets.collect();
        let other = self.sources.other(pending.key, &pending.source, self.now());
        let unreviewed = target.kind == Kind::Tool && target.settings.reviewed.is_none();
        let first = match target.kind {
            Kind::Tool => UnusualText::FirstTime,
            Kind::Prompt | Kind::Resource | Kind::Route | Kind::Operation => UnusualText::FirstUse,
            Kind::Installation => UnusualText::FirstChange,
        };
        let ran = situation.last.as_ref().and_then(lost);
        let beware = headline(target, &pending.access).flags.into_iter().map(Flag::says).collect::<Vec<_>>();
        [
            (!beware.is_empty()).then(|| say(UnusualText::Headline, vec![beware.join("; ")])).flatten(),
            ran.and_then(|(_, outcome)| say(UnusualText::RanUndelivered, vec![outcome])),
            other.and_then(|other| say(UnusualText::OtherAddress, vec![other])),
            (!situation.used_before).then(|| say(first, vec![name.clone()])).flatten(),
            unreviewed.then(|| say(UnusualText::Unreviewed, Vec::new())).flatten(),
            lately.then(|| say(UnusualText::RejectedLately, vec![name])).flatten(),
            (!secrets.is_empty())
                .then(|| say(UnusualText::SecretArgument, vec![secrets.join(", ")]))
                .flatten(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What recent decisions would have become under the rules that a change leads to.
    async fn would_become(&self, active: &Active, access: &Access) -> Result<Vec<Unusual>, Failed> {
        let Some(bundle) = proposal::proposed(active, access) else { return Ok(Vec::new()) };
        let (active, now) = (self.active(), self.now());
        let would = move || bundle.compile().ok().map(|set| active.under(bundle, set, now));
        let Some(would) = self.apart("reading proposed rules", would).await? else { return Ok(Vec::new()) };
        Ok(self.compare(&would, now.before(LOOKED_AT), RECORDS).await?.says())
    }

    /// Every leaf with the names of those who met it.
    pub(crate) fn needed(&self, active: &Active, pending: &Pending, eligible: &Eligible) -> Vec<Needed> {
        let name =
            |root: &HumanId| active.people.any_human(*root).map(|h| h.name.clone()).unwrap_or_default();
        let leaves = weighed(&pending.requirement, &standing(active, pending), eligible, self.now());
        leaves
            .into_iter()
            .map(|leaf| Needed {
                leaf: leaf.says(),
                met: leaf.met(),
                met_by: leaf.by.iter().map(name).collect(),
            })
            .collect()
    }
}

/// The headline, and what to beware of in the caller's words in it.
pub(crate) struct Headline {
    pub text: String,
    flags: BTreeSet<Flag>,
}

/// What is done, and to what, where the operator has no words for it.
fn verb_and_object(target: &Target, access: &Access) -> String {
    let (name, upstream) = (told_apart(&target.name), &target.upstream);
    match (target.kind, Action::named(access.action())) {
        (Kind::Prompt, Some(Action::Complete)) => format!("Ask {upstream} for values for its prompt {name}"),
        (_, Some(Action::Complete)) => format!("Ask {upstream} for values for its resources {name}"),
        (Kind::Tool, _) => format!("Call {name} on {upstream}"),
        (Kind::Prompt, _) => format!("Get the prompt {name} of {upstream}"),
        (Kind::Route, _) => format!("Send {name} to {upstream}"),
        (Kind::Operation, _) => format!("Do {name} in {upstream}"),
        (Kind::Installation, _) => change(target, access),
        (Kind::Resource, Some(Action::Subscribe)) => format!("Tell whenever {name} changes on {upstream}"),
        (Kind::Resource, _) => format!("Read {name} on {upstream}"),
    }
}

/// What is changed of this installation. What was typed stands in it as other words of callers do.
fn change(target: &Target, access: &Access) -> String {
    let said = |name: &str| access.arguments().get(name).and_then(Json::as_str).unwrap_or_default();
    let [act, name, group, owner, upstream] = ["act", "name", "group", "owner", "upstream"].map(said);
    let [name, group, owner, upstream] = [name, group, owner, upstream].map(told_apart);
    match (Part::named(&target.name), act) {
        (Some(Part::Policy), "roll back") => "Put earlier rules back in force".to_owned(),
        (Some(Part::Policy), _) => "Change the rules".to_owned(),
        (Some(Part::Groups), "remove") => format!("Take {name} out of the group {group}"),
        (Some(Part::Groups), _) => format!("Put {name} into the group {group}"),
        (Some(Part::Callers), "rotate") => format!("Give the caller {name} a new key"),
        (Some(Part::Callers), _) => format!("Register the caller {name}, owned by {owner}"),
        (Some(Part::People), "invite") => format!("Invite {name} to enrol another passkey"),
        (Some(Part::People), "account") => format!("Say that an account of this machine is {name}'s"),
        (Some(Part::People), _) => format!("Add the person {name}"),
        (Some(Part::Definitions), _) => format!("Accept the definition of {name} of {upstream}"),
        (Some(Part::Locks), _) => format!("Lift the lock on {name}"),
        (None, _) => format!("Change {}", told_apart(&target.name)),
    }
}

/// The headline: the operator's template, or the target's name. Words of others that could be read as ours stand in
/// quotation marks that they cannot close.
pub(crate) fn headline(target: &Target, access: &Access) -> Headline {
    let arguments = Json::Object(access.arguments().clone());
    let Some(template) = &target.settings.title else {
        let text = verb_and_object(target, access);
        let mut out = Headline { text, flags: text::flags(&target.name).into_iter().collect() };
        if target.kind == Kind::Operation {
            out.text.push_str(": ");
            out.fill(&arguments, "/id");
        }
        return out;
    };
    let mut out = Headline { text: String::new(), flags: BTreeSet::new() };
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').unwrap_or((after, ""));
        out.text.push_str(before);
        out.fill(&arguments, inside);
        rest = after;
    }
    out.text.push_str(rest);
    out
}

impl Headline {
    fn fill(&mut self, arguments: &Json, pointer: &str) {
        let value = pointer.parse::<Pointer>().ok().and_then(|p| p.of(arguments).cloned());
        let value = match value {
            Some(Json::String(text)) => text,
            Some(sealed) if sealed.get("$sealed").is_some() => return self.text.push_str("(secret)"),
            Some(other) => other.text(),
            None => return self.text.push_str("(not sent)"),
        };
        let short: String = value.chars().take(IN_TITLE).collect();
        self.text.push_str(&told_apart(&short));
        if short.len() < value.len() {
            self.text.push('…');
        }
        self.flags.extend(text::flags(&short));
    }
}

/// A plain token as it is, and all else in quotation marks, so that nobody takes it for our own words.
fn told_apart(words: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    if !words.is_empty() && words.chars().all(plain) { words.to_owned() } else { text::quoted(words) }
}

/// Arguments that were not sent and that the schema gives a default for (T07).
fn defaults(target: &Target, access: &Access) -> Vec<(Pointer, String)> {
    let properties = target.pin.definition.get("inputSchema").and_then(|s| s.get("properties"));
    let properties = properties.and_then(Json::as_object).into_iter().flat_map(|p| p.iter());
    let absent = properties.filter(|(name, _)| access.arguments().get(name).is_none());
    absent
        .filter_map(|(name, schema)| {
            let default = schema.get("default")?;
            Some((
                Pointer::root().child(name),
                format!("not sent: upstream default {}", text::visible(&default.text())),
            ))
        })
        .collect()
}

/// Arguments that only name something else, and whether the name carries a digest of the content (T08).
fn references(target: &Target, access: &Access) -> Vec<(Pointer, Option<String>)> {
    let arguments = Json::Object(access.arguments().clone());
    let pinned = |value: &str| value.split_once("@sha256:").map(|(_, digest)| format!("sha256:{digest}"));
    let sent = target.settings.references.iter().filter_map(|p| Some((p, p.of(&arguments)?)));
    sent.map(|(pointer, value)| (pointer.clone(), value.as_str().and_then(pinned))).collect()
}
