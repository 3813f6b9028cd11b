//! The card as it is drawn: the signed data model of `terms::card`, each of its texts marked as foreign, and its
//! terms in words. Nothing is left out and nothing that a decision rests on is added.

use terms::Part;
use terms::card::Card as Model;
use terms::requirement::{Binds, Terms};

use super::Environment;
use super::diff::Sign;
use crate::foreign::{Foreign, Value, flag_says};
use crate::moment::{When, span};

/// The whole card.
#[derive(Clone, Debug)]
pub struct Card {
    /// What the card's hash is; the browser hands it back before it signs, so that what is signed is what was seen.
    pub hash: String,
    /// Verb and object.
    pub title: Foreign,
    /// Where.
    pub environment: Environment,
    /// Who asks.
    pub caller: Caller,
    /// What is unusual.
    pub unusual: Vec<Foreign>,
    /// When this very access ran last, and how that ended.
    pub last_same: Option<(When, Foreign)>,
    /// Why, as the caller says.
    pub purpose: Option<Foreign>,
    /// Under which ticket, as the caller says.
    pub ticket: Option<Foreign>,
    /// Every argument.
    pub fields: Vec<Leaf>,
    /// What was not sent: its label and what the upstream's schema says.
    pub defaults: Vec<(Foreign, Foreign)>,
    /// The label of what only names something else, and the digest that it is pinned to.
    pub references: Vec<(Foreign, Option<Foreign>)>,
    /// What it touches, each with who touched it before.
    pub touches: Vec<TouchLine>,
    /// The labels of what the grant leaves open.
    pub free: Vec<Foreign>,
    /// What is granted.
    pub bounds: Bounds,
    /// What it takes.
    pub needed: Vec<NeededLine>,
    /// The tool's pinned digest.
    pub digest: Foreign,
    /// What a person said that the tool does.
    pub reviewed: Option<Foreign>,
    /// The upstream's name.
    pub upstream: Foreign,
    /// Digest over what the upstream is.
    pub identity: Foreign,
    /// Four words to compare.
    pub words: Vec<Foreign>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its name.
    pub name: Foreign,
    /// Its owner.
    pub owner: Foreign,
    /// Whom it acts through.
    pub chain: Vec<Foreign>,
    /// Whether it proved a key.
    pub key_bound: bool,
    /// The first characters of its key.
    pub key_prefix: Foreign,
    /// The address that the request came from.
    pub source: Foreign,
}

/// One leaf of arguments, of a record, of a definition.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its name for people.
    pub label: Foreign,
    /// Where it is.
    pub pointer: Foreign,
    /// The whole value.
    pub value: Value,
    /// Its lines, where it is the difference that a change of rules makes.
    pub patch: Vec<(Sign, Foreign)>,
    /// Whether only its length is known.
    pub secret: bool,
    /// Whether the grant leaves it open.
    pub free: bool,
    /// What to beware of.
    pub flags: Vec<&'static str>,
}

/// One thing that is touched.
#[derive(Clone, Debug)]
pub struct TouchLine {
    /// What it is.
    pub kind: Foreign,
    /// Which.
    pub key: Foreign,
    /// Person, caller, and whether it was this very thing.
    pub by: Vec<(Foreign, Foreign, bool)>,
}

/// One leaf of the requirement.
#[derive(Clone, Debug)]
pub struct NeededLine {
    /// What.
    pub leaf: Foreign,
    /// Whether it is met.
    pub met: bool,
    /// By whom so far.
    pub met_by: Vec<Foreign>,
}

/// What a grant will be, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How often: `once`, `up to 3 times`.
    pub uses: String,
    /// How long: `15 minutes`.
    pub time: String,
    /// Whether it is for exactly this call and no other.
    pub exact: bool,
}

/// The terms in words.
#[must_use]
pub fn bounds(terms: &Terms) -> Bounds {
    let uses = terms.uses.get();
    Bounds {
        uses: if uses == 1 { "once".to_owned() } else { format!("up to {uses} times") },
        time: span(terms.valid_for),
        exact: terms.binds == Binds::Everything,
    }
}

impl Card {
    /// Draws a card.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let label = |at: &terms::Pointer| Foreign::line(model.label(at));
        Self {
            hash: model.hash().to_string(),
            title: Foreign::line(&model.title),
            environment: Environment::of(&model.environment),
            caller: Caller {
                name: Foreign::line(&model.caller.name),
                owner: Foreign::line(&model.caller.owner),
                chain: model.caller.chain.iter().map(Foreign::line).collect(),
                key_bound: model.caller.key_bound,
                key_prefix: Foreign::line(&model.caller.key_prefix),
                source: Foreign::line(&model.caller.source),
            },
            unusual: model.unusual.iter().map(|unusual| Foreign::line(unusual.says())).collect(),
            last_same: model.last_same.as_ref().map(|last| (When(last.at), Foreign::line(&last.outcome))),
            purpose: model.claims.purpose.as_ref().map(Foreign::exact),
            ticket: model.claims.ticket.as_ref().map(Foreign::exact),
            fields: model.fields.iter().map(|field| Leaf::of(field, model)).collect(),
            defaults: model.defaults.iter().map(|(at, says)| (label(at), Foreign::exact(says))).collect(),
            references: model
                .references
                .iter()
                .map(|(at, pin)| (label(at), pin.as_ref().map(Foreign::exact)))
                .collect(),
            touches: model.touches.iter().map(TouchLine::of).collect(),
            free: model.free.iter().map(label).collect(),
            bounds: bounds(&model.grants),
            needed: model
                .needed
                .iter()
                .map(|needed| NeededLine {
                    leaf: Foreign::line(&needed.leaf),
                    met: needed.met,
                    met_by: needed.met_by.iter().map(Foreign::line).collect(),
                })
                .collect(),
            digest: Foreign::exact(&model.tool.digest),
            reviewed: model.tool.reviewed.as_ref().map(Foreign::line),
            upstream: Foreign::line(&model.upstream.id),
            identity: Foreign::exact(&model.upstream.identity),
            words: model.words.iter().map(Foreign::line).collect(),
        }
    }

    /// What is still missing, for lists.
    #[must_use]
    pub fn missing(&self) -> Vec<Foreign> {
        self.needed.iter().filter(|needed| !needed.met).map(|needed| needed.leaf.clone()).collect()
    }
}

impl TouchLine {
    fn of(line: &terms::card::TouchLine) -> Self {
        let by =
            |one: &terms::card::Toucher| (Foreign::line(&one.human), Foreign::line(&one.caller), one.certain);
        Self {
            kind: Foreign::line(&line.kind),
            key: Foreign::exact(&line.key),
            by: line.by.iter().map(by).collect(),
        }
    }
}

impl Leaf {
    fn of(field: &terms::card::Field, model: &Model) -> Self {
        let patch = if is_patch(field, model) { patch(&field.value) } else { Vec::new() };
        let ends = only_ends_change(&patch).then_some(ONLY_ENDS);
        Self {
            label: Foreign::line(&field.label),
            pointer: Foreign::line(field.pointer.to_string()),
            value: Value::of(&field.value),
            patch,
            secret: field.secret,
            free: model.free.iter().any(|free| free.covers(&field.pointer)),
            flags: field.flags.iter().map(|flag| flag_says(*flag)).chain(ends).collect(),
        }
    }

    /// A leaf of a record or of a definition, without anything to beware of beyond what its own characters are.
    #[must_use]
    pub fn plain(pointer: &str, value: &str) -> Self {
        Self {
            label: Foreign::line(pointer),
            pointer: Foreign::line(pointer),
            value: Value::of(value),
            patch: Vec::new(),
            secret: false,
            free: false,
            flags: terms::text::flags(value).into_iter().map(flag_says).collect(),
        }
    }
}

/// Whether it is the difference that a change of rules makes in one text.
fn is_patch(field: &terms::card::Field, model: &Model) -> bool {
    let first = field.pointer.steps().first().map(String::as_str);
    model.upstream.id == Part::OF && first == Some("changes")
}

/// What is said of a text whose lines stay what they are.
pub const ONLY_ENDS: &str = "in the lines that change nothing changes but how they end";

/// Whether what goes and what comes are the same lines, but for their ends.
#[must_use]
pub fn only_ends_change(patch: &[(Sign, Foreign)]) -> bool {
    let of = |which: Sign| {
        let lines = patch.iter().filter(move |(sign, _)| *sign == which);
        lines.map(|(_, line)| line.text().trim_end_matches('\r')).collect::<Vec<_>>()
    };
    let gone = of(Sign::Gone);
    !gone.is_empty() && gone == of(Sign::New)
}

/// The lines of a difference, without the names of its two sides; what its first character says is drawn. A line ends where a
/// difference has it end: what else stands before that, such as a carriage return, is of the line and is shown.
#[must_use]
pub fn patch(text: &str) -> Vec<(Sign, Foreign)> {
    let lines = text.split_terminator('\n').skip_while(|line| !line.starts_with("@@"));
    let signed = lines.map(|line| {
        let rest = || line.get(1..).unwrap_or_default();
        match line.chars().next() {
            Some('-') => (Sign::Gone, rest()),
            Some('+') => (Sign::New, rest()),
            Some(' ') | None => (Sign::Same, rest()),
            Some(_) => (Sign::Skipped(0), line),
        }
    });
    signed.map(|(sign, line)| (sign, Foreign::line(line))).collect()
}
