//! The card: what an approver is shown, as data. Its hash is signed, so it holds no clock and no counter
//! that moves between two looks; the page draws it and adds nothing that the decision rests on.

use crate::access::{Access, sealed_length};
use crate::hash::CardHash;
use crate::json::{self, Json, Limits};
use crate::requirement::Terms;
use crate::text::{self, Flag};
use crate::{Pointer, Time};

/// Everything on one card, in the order in which it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Verb and object in plain words, from the tool's reviewed template: "Deploy 2.4.1 to production".
    pub title: String,
    /// The environment that the upstream stands in.
    pub environment: String,
    /// Who asks.
    pub caller: CallerLine,
    /// Every argument, to its leaves.
    pub fields: Vec<Field>,
    /// Arguments that were not sent and that the upstream fills in: pointer and what the schema says.
    pub defaults: Vec<(Pointer, String)>,
    /// Arguments that only name something else, and whether its content is pinned.
    pub references: Vec<(Pointer, Option<String>)>,
    /// Arguments that the grant leaves free: shown as "any".
    pub free: Vec<Pointer>,
    /// What it touches, and who touched that before: none of them approves it.
    pub touches: Vec<TouchLine>,
    /// What the caller says: claims, never facts.
    pub claims: Claims,
    /// What is unusual, as ids of texts with their numbers.
    pub unusual: Vec<Unusual>,
    /// The last time that this very access ran.
    pub last_same: Option<LastSame>,
    /// What the grant will be.
    pub grants: Terms,
    /// The leaves of the requirement, each with who has met it.
    pub needed: Vec<Needed>,
    /// The tool's definition: digest and what a person said of it.
    pub tool: ToolLine,
    /// The upstream: name and identity.
    pub upstream: UpstreamLine,
    /// Four words to compare with the caller's side.
    pub words: [String; 4],
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerLine {
    /// The caller's name.
    pub name: String,
    /// Its owner's name.
    pub owner: String,
    /// Whom it acts through.
    pub chain: Vec<String>,
    /// Whether the caller proved a key; if not, whoever holds its bearer key can use the approval (A13).
    pub key_bound: bool,
    /// The first characters of its key.
    pub key_prefix: String,
    /// The address that the request came from.
    pub source: String,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it is.
    pub pointer: Pointer,
    /// Its place for people, which no other has: `steps[0] › name`. A title from the upstream's schema is a claim.
    pub label: String,
    /// Its whole value as text: strings as they are, all else as JSON. A string that reads like something else
    /// stands in quotes, so that `"false"` is not shown as `false`.
    pub value: String,
    /// What to beware of in it and in its name.
    pub flags: Vec<Flag>,
    /// The value is sealed; `value` gives its length.
    pub secret: bool,
}

/// One thing that the access touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchLine {
    /// What it is.
    pub kind: String,
    /// Which: a claim, as every argument is.
    pub key: String,
    /// Who touched it before.
    pub by: Vec<Toucher>,
}

/// One who touched something before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toucher {
    /// The name of the person.
    pub human: String,
    /// The name of the caller that did it.
    pub caller: String,
    /// Whether it was this very thing; otherwise something of its kind, of which nobody knows which it was.
    pub certain: bool,
}

/// What the caller says of its own accord.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Why.
    pub purpose: Option<String>,
    /// Under which ticket.
    pub ticket: Option<String>,
}

/// One unusual thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusual {
    /// Which text.
    pub text: UnusualText,
    /// The numbers and names that the text is filled with, in order.
    pub with: Vec<String>,
}

/// The texts of what is unusual. A text that changes gets a new id, so that an old card can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusualText {
    /// The caller has never used this tool.
    FirstTime,
    /// The caller has never got this prompt, or read this resource.
    FirstUse,
    /// The key was used from another address within the last hour.
    OtherAddress,
    /// A secret argument: only its length and seal are known.
    SecretArgument,
    /// This exact access ran, and its answer was not delivered.
    RanUndelivered,
    /// Nobody reviewed this tool's definition.
    Unreviewed,
    /// Another access of this caller to the same tool was rejected lately.
    RejectedLately,
    /// The headline repeats words of others that could deceive.
    Headline,
    /// Who asks has never changed this part of the installation.
    FirstChange,
    /// Under the proposed rules recent decisions would have been others.
    WouldChange,
    /// Under the proposed rules recent decisions would have been the same.
    WouldStay,
}

impl UnusualText {
    /// Every text with its id; `{}` stands for the next of [`Unusual::with`].
    pub const TABLE: [(Self, &'static str, &'static str); 11] = [
        (Self::FirstTime, "first_time.1", "First time that {} uses this tool"),
        (Self::FirstUse, "first_use.1", "First time that {} asks for this"),
        (Self::OtherAddress, "other_address.1", "The same key was used from {} within the last hour"),
        (
            Self::SecretArgument,
            "secret_argument.1",
            "Contains a secret ({}): you see its length, not its value",
        ),
        (
            Self::RanUndelivered,
            "ran_undelivered.1",
            "This exact call already ran, {}; its answer was not delivered",
        ),
        (Self::Unreviewed, "unreviewed.1", "Nobody here has reviewed what this tool does"),
        (Self::RejectedLately, "rejected_lately.1", "A similar request of {} was rejected lately"),
        (Self::Headline, "headline.1", "Beware of the caller's words in the headline: {}"),
        (Self::FirstChange, "first_change.1", "First time that {} changes this"),
        (
            Self::WouldChange,
            "would_change.1",
            "Under these rules {} of the {} decisions of the last 7 days would have been others: {}",
        ),
        (
            Self::WouldStay,
            "would_stay.1",
            "Under these rules all {} decisions of the last 7 days would have been the same",
        ),
    ];

    /// The id and version.
    #[must_use]
    pub fn id(self) -> &'static str {
        Self::TABLE.iter().find(|(text, ..)| *text == self).map_or("", |(_, id, _)| id)
    }
}

impl Unusual {
    /// The sentence.
    #[must_use]
    pub fn says(&self) -> String {
        let text =
            UnusualText::TABLE.iter().find(|(text, ..)| *text == self.text).map_or("", |(.., says)| says);
        let mut pieces = text.split("{}");
        let first = pieces.next().unwrap_or_default().to_owned();
        let mut with = self.with.iter();
        pieces.fold(first, |said, piece| said + with.next().map_or("{}", String::as_str) + piece)
    }
}

/// The last run of this very access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSame {
    /// When.
    pub at: Time,
    /// `done`, `failed`, `unknown`, ….
    pub outcome: String,
}

/// One leaf of the requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// What, in plain words: "1 approval from release-managers".
    pub leaf: String,
    /// The names of those who met it so far.
    pub met_by: Vec<String>,
    /// Whether it is met.
    pub met: bool,
}

/// The tool's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolLine {
    /// The pinned digest.
    pub digest: String,
    /// What a person said that it does: `read-only`, `acts`; `None` when nobody looked.
    pub reviewed: Option<String>,
}

/// The upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLine {
    /// Its name in the configuration.
    pub id: String,
    /// Digest over its configuration and files.
    pub identity: String,
}

impl Card {
    /// The canonical form that the hash covers.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let members = [
            ("title", Json::from(self.title.as_str())),
            ("environment", Json::from(self.environment.as_str())),
            ("caller", self.caller.to_json()),
            ("fields", list(&self.fields, Field::to_json)),
            (
                "defaults",
                list(&self.defaults, |(at, says)| {
                    Json::object([("pointer", Json::from(at)), ("says", Json::from(says.as_str()))])
                }),
            ),
            (
                "references",
                list(&self.references, |(at, pinned)| {
                    Json::object([("pointer", Json::from(at)), ("pinned", Json::from(pinned.clone()))])
                }),
            ),
            ("free", list(&self.free, |at| Json::from(at))),
            (
                "claims",
                Json::object([
                    ("purpose", Json::from(self.claims.purpose.clone())),
                    ("ticket", Json::from(self.claims.ticket.clone())),
                ]),
            ),
            (
                "unusual",
                list(&self.unusual, |u| {
                    Json::object([("text", Json::from(u.text.id())), ("with", Json::from(u.with.clone()))])
                }),
            ),
            (
                "last_same",
                self.last_same.as_ref().map_or(Json::Null, |last| {
                    Json::object([
                        ("at", Json::from(last.at)),
                        ("outcome", Json::from(last.outcome.as_str())),
                    ])
                }),
            ),
            ("grants", self.grants.to_json()),
            (
                "needed",
                list(&self.needed, |n| {
                    Json::object([
                        ("leaf", Json::from(n.leaf.as_str())),
                        ("met", Json::from(n.met)),
                        ("met_by", Json::from(n.met_by.clone())),
                    ])
                }),
            ),
            (
                "tool",
                Json::object([
                    ("digest", Json::from(self.tool.digest.as_str())),
                    ("reviewed", Json::from(self.tool.reviewed.clone())),
                ]),
            ),
            (
                "upstream",
                Json::object([
                    ("id", Json::from(self.upstream.id.as_str())),
                    ("identity", Json::from(self.upstream.identity.as_str())),
                ]),
            ),
            ("words", list(&self.words, |w| Json::from(w.as_str()))),
        ];
        // A card of what touches nothing is the card that it was before there was this member.
        let touches =
            (!self.touches.is_empty()).then(|| ("touches", list(&self.touches, TouchLine::to_json)));
        Json::object(members.into_iter().chain(touches))
    }

    /// What a signature covers.
    #[must_use]
    pub fn hash(&self) -> CardHash {
        CardHash::of(&self.to_json())
    }
}

impl CallerLine {
    fn to_json(&self) -> Json {
        Json::object([
            ("name", Json::from(self.name.as_str())),
            ("owner", Json::from(self.owner.as_str())),
            ("chain", Json::from(self.chain.clone())),
            ("key", Json::from(if self.key_bound { "bound" } else { "bearer" })),
            ("key_prefix", Json::from(self.key_prefix.as_str())),
            ("source", Json::from(self.source.as_str())),
        ])
    }
}

impl TouchLine {
    fn to_json(&self) -> Json {
        let by = |one: &Toucher| {
            Json::object([
                ("human", Json::from(one.human.as_str())),
                ("caller", Json::from(one.caller.as_str())),
                ("certain", Json::from(one.certain)),
            ])
        };
        Json::object([
            ("kind", Json::from(self.kind.as_str())),
            ("key", Json::from(self.key.as_str())),
            ("by", list(&self.by, by)),
        ])
    }
}

impl Field {
    fn to_json(&self) -> Json {
        Json::object([
            ("pointer", Json::from(&self.pointer)),
            ("label", Json::from(self.label.as_str())),
            ("value", Json::from(self.value.as_str())),
            ("flags", list(&self.flags, |f| Json::from(f.name()))),
            ("secret", Json::from(self.secret)),
        ])
    }

    /// Whether the value is an array: a string that reads like one is shown in quotation marks.
    fn shows_array(&self) -> bool {
        !self.secret && matches!(json::parse_within(self.value.as_bytes(), READ), Ok(Json::Array(_)))
    }
}

fn list<T>(items: &[T], each: impl Fn(&T) -> Json) -> Json {
    Json::Array(items.iter().map(each).collect())
}

/// Every leaf of an access's arguments as a field, and after them of what the caller sent beside them, in
/// canonical order.
#[must_use]
pub fn fields(access: &Access) -> Vec<Field> {
    let mut out = Vec::new();
    let arguments = Json::Object(access.arguments().clone());
    let root = Place { pointer: Pointer::root(), label: String::new(), beware: false };
    collect(&root, &arguments, &mut out);
    if !access.meta().is_empty() {
        let meta = Json::Object(access.meta().clone());
        // An argument can be named `_meta` too, but none can have a colon outside of quotation marks.
        let label = "beside the arguments: _meta".to_owned();
        let place = Place { pointer: Pointer::root().child("_meta"), label, beware: false };
        collect(&place, &meta, &mut out);
    }
    if let Some(continues) = access.continues() {
        let place = Place {
            pointer: Pointer::root().child("_continues"),
            label: "continues:".to_owned(),
            beware: false,
        };
        collect(&place, &Json::Object(continues.clone()), &mut out);
    }
    out
}

impl Card {
    /// The place of an argument for people, as it is among the fields, whether or not it was sent. A name of digits that
    /// no field shows to be an index, by its label or by the array that it shows, stands in quotation marks: then it is
    /// the name of a member.
    #[must_use]
    pub fn label(&self, at: &Pointer) -> String {
        if let Some(field) = self.fields.iter().find(|field| field.pointer == *at) {
            return field.label.clone();
        }
        let root = Place { pointer: Pointer::root(), label: String::new(), beware: false };
        let place = at.steps().iter().fold(root, |place, step| {
            let index = step.parse::<usize>().ok().filter(|index| index.to_string() == *step);
            let of_array = |field: &Field| field.pointer == place.pointer && field.shows_array();
            let shown = |item: &Place| {
                self.fields.iter().any(|field| field.label.starts_with(&item.label) || of_array(field))
            };
            index.map(|index| place.item(index)).filter(shown).unwrap_or_else(|| place.member(step))
        });
        place.label
    }
}

/// Where a value is, for machines and for people. A pointer alone does not tell `{"0":…}` from `[…]`; the label
/// does, and no two places have the same one: names that hold our own marks stand in quotation marks.
struct Place {
    pointer: Pointer,
    label: String,
    /// One of the names on the way is to be read with care.
    beware: bool,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        let shown = if plain_label(name) { name.to_owned() } else { text::quoted(name) };
        let label = if self.label.is_empty() { shown } else { format!("{} › {shown}", self.label) };
        let beware = self.beware || !text::flags(name).is_empty();
        Self { pointer: self.pointer.child(name), label, beware }
    }

    fn item(&self, index: usize) -> Self {
        let label = format!("{}[{index}]", self.label);
        Self { pointer: self.pointer.child(index.to_string()), label, beware: self.beware }
    }
}

/// Whether a name can be told from our own marks and from an index without quotation marks.
fn plain_label(name: &str) -> bool {
    let ordinary = |c: char| c.is_alphanumeric() || text::is_mark(c) || " _-./$@".contains(c);
    let digits = name.chars().all(char::is_numeric); // an empty name too
    let starts_well = !name.starts_with(text::is_mark);
    !digits && starts_well && name.trim() == name && name.chars().all(ordinary) && text::visible(name) == name
}

fn collect(at: &Place, value: &Json, out: &mut Vec<Field>) {
    let sealed = sealed_length(value);
    match value {
        Json::Object(members) if sealed.is_none() && !members.is_empty() => {
            members.iter().for_each(|(name, member)| collect(&at.member(name), member, out));
        }
        Json::Array(items) if items.iter().any(|i| matches!(i, Json::Object(_) | Json::Array(_))) => {
            items.iter().enumerate().for_each(|(i, item)| collect(&at.item(i), item, out));
        }
        Json::Object(_) if at.pointer.steps().is_empty() => {}
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            let value = sealed.map_or_else(|| shown(value), |len| format!("secret, {len} bytes"));
            let mut flags = text::flags(&value);
            flags.extend(at.beware.then_some(Flag::Name));
            let (pointer, label) = (at.pointer.clone(), at.label.clone());
            out.push(Field { pointer, label, value, flags, secret: sealed.is_some() });
        }
    }
}

/// Enough for whatever is shown as JSON: scalars, and arrays of them.
const READ: Limits = Limits { bytes: usize::MAX, depth: 1, items: usize::MAX, string: usize::MAX };

/// A text that no other value has.
fn shown(value: &Json) -> String {
    match value {
        Json::String(text) if json::parse_within(text.as_bytes(), READ).is_err() => text.clone(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            value.text()
        }
    }
}
