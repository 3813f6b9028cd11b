//! The Cedar schema of what is pinned: every action with its parties and the types of its context (decisions A1, A3).

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::SchemaFragment;
use miette::Diagnostic as _;
use terms::{Action, Json, Kind as Of};

use crate::context::Member;
use crate::entities::{Entity, Kind};
use crate::shape::{Record, attribute, extension, record, scalar, set, with};
use crate::target::{APPROVE, DISCOVER, Named, Target, Verb, has_own, of_all};

/// The types of everything that rules can speak of, as of some targets.
pub struct Schema<'t> {
    /// The own actions that there are.
    own: BTreeMap<&'t str, Own<'t>>,
}

/// One target's own action, or that of approving it.
struct Own<'t> {
    deed: Deed,
    act: &'t Entity,
    to: Kind,
    arguments: &'t Record,
}

/// Cedar does not take the schema.
#[derive(Debug, thiserror::Error)]
#[error("the pinned definitions give no schema: {0}")]
pub struct NoSchema(String);

/// The names of actions that apply; that others are in a schema says only that they exist.
pub(crate) type Apply = BTreeSet<String>;

/// The actions of a schema by name.
type Actions = BTreeMap<String, Json>;

impl<'t> Schema<'t> {
    /// The schema of these targets.
    pub fn of(targets: impl IntoIterator<Item = &'t Target>) -> Self {
        let mut own = BTreeMap::new();
        for target in targets {
            for Verb { act, approve, arguments, .. } in
                target.verbs().iter().filter(|verb| has_own(verb.action))
            {
                for (deed, act) in [(Deed::Call, act), (Deed::Approval, approve)] {
                    own.insert(act.id.as_str(), Own { deed, act, to: Kind::of(target.kind()), arguments });
                }
            }
        }
        Self { own }
    }

    /// The schema as Cedar writes one, for editors and other tools.
    ///
    /// # Errors
    /// [`NoSchema`] where Cedar refuses it.
    pub fn text(&self) -> Result<String, NoSchema> {
        fragment(self.actions(&self.every()))?.to_cedarschema().map_err(|error| NoSchema(error.to_string()))
    }

    /// Whether it is an own action that there is.
    pub(crate) fn has(&self, action: &str) -> bool {
        self.own.contains_key(action)
    }

    /// Whether there are own actions.
    pub(crate) fn has_any(&self) -> bool {
        !self.own.is_empty()
    }

    /// Everything that is done: the own actions that there are, and those that are the same for every target.
    pub(crate) fn every(&self) -> Apply {
        let own = self.own.keys().map(|action| (*action).to_owned());
        let of_own = |group: &str| Named::read(group).is_some_and(|named| named.is_group_of_own());
        Self::groups().into_iter().filter(|group| !of_own(group)).chain(own).collect()
    }

    /// Everything that is done, each group as if it were the own action of one target.
    pub(crate) fn groups() -> Apply {
        std::iter::once(DISCOVER.to_owned()).chain(Named::groups()).collect()
    }

    /// The schema in which these actions apply, and no others. A group whose targets have actions of their own applies as
    /// if it were that of a target that takes no arguments.
    pub(crate) fn in_which(&self, apply: &Apply) -> Result<cedar_policy::Schema, NoSchema> {
        let fragment = fragment(self.actions(apply))?;
        cedar_policy::Schema::from_schema_fragments([fragment]).map_err(|error| no(&error))
    }

    fn actions(&self, apply: &Apply) -> Actions {
        let mut actions = groups(|action| apply.contains(action));
        for of in apply.iter().filter_map(|action| self.own.get(action.as_str())) {
            let parents = of.act.parents.iter().map(|(_, id)| id.clone()).collect();
            actions.insert(of.act.id.clone(), does(of.deed, parents, &[of.to], of.arguments));
        }
        actions
    }
}

fn fragment(actions: Actions) -> Result<SchemaFragment, NoSchema> {
    let namespace = Json::object([("entityTypes", entities()), ("actions", Json::object(actions))]);
    SchemaFragment::from_json_str(&Json::object([("", namespace)]).text()).map_err(|error| no(&error))
}

fn no(error: &cedar_policy::SchemaError) -> NoSchema {
    let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
    NoSchema(format!("{error}{help}"))
}

/// A type of entity, what it can be in, and its attributes.
type Row<'a> = (Kind, &'a [Kind], Vec<(&'a str, Json)>);

/// The entities, as entities.rs and set.rs make them.
fn entities() -> Json {
    let text = || scalar("String");
    let truth = || scalar("Boolean");
    let reviewed = || vec![("reviewedReadOnly", truth()), ("ruled", truth())];
    let person = || vec![("owner", text())];
    let table: [Row<'_>; 12] = [
        (Kind::Group, &[], vec![]),
        (Kind::Agent, &[Kind::Group], person()),
        (Kind::Service, &[Kind::Group], person()),
        (Kind::Human, &[Kind::Group], vec![("id", text())]),
        (Kind::Environment, &[], vec![]),
        (Kind::Server, &[Kind::Environment], vec![]),
        (Kind::Tool, &[Kind::Server], reviewed()),
        (Kind::Prompt, &[Kind::Server], reviewed()),
        (Kind::Resource, &[Kind::Server], reviewed().into_iter().chain([("uri", text())]).collect()),
        (Kind::Route, &[Kind::Server], reviewed().into_iter().chain([("path", text())]).collect()),
        (Kind::Operation, &[Kind::Server], reviewed()),
        (Kind::Installation, &[Kind::Installation], vec![]),
    ];
    Json::object(table.map(|(kind, parents, attributes)| {
        let attributes = attributes.into_iter().map(|(name, of)| (name.to_owned(), attribute(of, true)));
        let within = names(parents);
        (kind.name(), Json::object([("memberOfTypes", within), ("shape", record(attributes))]))
    }))
}

fn names(kinds: &[Kind]) -> Json {
    Json::Array(kinds.iter().map(|kind| Json::from(kind.name())).collect())
}

/// What is done: who does it, and what of the context there is then.
#[derive(Clone, Copy)]
enum Deed {
    Call,
    Approval,
    Discovery,
    Administration,
}

impl Deed {
    const fn principals(self) -> &'static [Kind] {
        match self {
            Self::Call | Self::Discovery => &[Kind::Agent, Kind::Service],
            Self::Approval | Self::Administration => &[Kind::Human],
        }
    }

    fn knows(self, member: Member) -> bool {
        match self {
            Self::Call | Self::Administration => member != Member::Votes,
            Self::Approval => true,
            Self::Discovery => member == Member::Caller,
        }
    }
}

/// What is no target's own, each applying where `applies` says so.
fn groups(applies: impl Fn(&str) -> bool) -> Actions {
    let nothing = Record::default();
    let done = |name: &str, deed: Deed, within: Vec<String>, to: &[Kind], arguments: &Record| {
        if applies(name) { does(deed, within, to, arguments) } else { group(within) }
    };
    let all: Vec<Kind> = Of::ALL.into_iter().filter(|of| *of != Of::Installation).map(Kind::of).collect();
    let mut actions = Actions::from([
        (DISCOVER.to_owned(), done(DISCOVER, Deed::Discovery, vec![], &all, &nothing)),
        (APPROVE.to_owned(), group(vec![])),
    ]);
    let named = Action::TABLE.iter().filter(|row| row.action.ruled_as() == row.action);
    for row in named {
        let to: Vec<Kind> = row.to.iter().map(|of| Kind::of(*of)).collect();
        let approvals = format!("{APPROVE}:{}", row.name);
        let arguments = of_all(row.action).map_or(&nothing, |of| of);
        let approve = done(&approvals, Deed::Approval, vec![APPROVE.to_owned()], &to, arguments);
        let deed = if row.action == Action::Administer { Deed::Administration } else { Deed::Call };
        let act = done(row.name, deed, vec![], &to, arguments);
        actions.extend([(row.name.to_owned(), act), (approvals, approve)]);
    }
    actions
}

fn group(parents: Vec<String>) -> Json {
    let id = |id: String| Json::object([("id", id)]);
    Json::object([("memberOf", Json::Array(parents.into_iter().map(id).collect()))])
}

fn does(deed: Deed, parents: Vec<String>, to: &[Kind], arguments: &Record) -> Json {
    let known = Member::TABLE.into_iter().filter(|(member, _)| deed.knows(*member));
    let members = known.map(|(member, name)| (name.to_owned(), attribute(context(member, arguments), true)));
    let applies = Json::object([
        ("principalTypes", names(deed.principals())),
        ("resourceTypes", names(to)),
        ("context", record(members)),
    ]);
    with(group(parents), "appliesTo", applies)
}

/// The types of what context.rs makes.
fn context(member: Member, arguments: &Record) -> Json {
    let [text, long, truth] = ["String", "Long", "Boolean"].map(|name| move || scalar(name));
    let all = |members: Vec<(&str, Json)>| {
        record(members.into_iter().map(|(name, of)| (name.to_owned(), attribute(of, true))))
    };
    match member {
        Member::Arguments => arguments.cedar(),
        Member::Text => text(),
        Member::Unjudged => set(text()),
        Member::Caller => all(vec![
            ("owner", text()),
            ("chain", set(text())),
            ("roots", set(text())),
            ("key_bound", truth()),
        ]),
        Member::Time => all(vec![("millis", long()), ("hour", long()), ("weekday", long())]),
        Member::Network => record([("source".to_owned(), attribute(extension("ipaddr"), false))]),
        Member::History => all(vec![("first_time", truth()), ("calls_1h", long())]),
        Member::Votes => long(),
    }
}
