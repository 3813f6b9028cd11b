//! The Cedar schema of what is pinned: every action with its parties and the types of its context (decisions A1, A3).

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::SchemaFragment;
use miette::Diagnostic as _;
use terms::{Action, Json, Kind as Of};

use crate::context::Member;
use crate::entities::Kind;
use crate::shape::{Record, attribute, extension, record, scalar, set, with};
use crate::target::{APPROVE, DISCOVER, Target, Verb, has_own, of_all};

/// The types of everything that rules can speak of, as of some targets.
pub struct Schema {
    fragment: SchemaFragment,
    /// Each target by its own actions; the groups of these apply to nothing by themselves.
    pub(crate) each: cedar_policy::Schema,
    /// The groups alone, each as if it were the own action of a target that takes no arguments.
    pub(crate) many: cedar_policy::Schema,
    /// The own actions that there are.
    pub(crate) own: BTreeSet<String>,
}

/// Cedar does not take the schema.
#[derive(Debug, thiserror::Error)]
#[error("the pinned definitions give no schema: {0}")]
pub struct NoSchema(String);

/// The actions of a schema by name.
type Actions = BTreeMap<String, Json>;

impl Schema {
    /// The schema of these targets.
    ///
    /// # Errors
    /// [`NoSchema`] where Cedar refuses it.
    pub fn of<'t>(targets: impl IntoIterator<Item = &'t Target>) -> Result<Self, NoSchema> {
        let mut each = groups(|action| !has_own(action));
        let mut own = BTreeSet::new();
        for target in targets {
            for verb in target.verbs().iter().filter(|verb| has_own(verb.action)) {
                let of = [Kind::of(target.kind())];
                let Verb { act, approve, arguments, .. } = verb;
                let parents =
                    |of: &crate::entities::Entity| of.parents.iter().map(|(_, id)| id.clone()).collect();
                each.insert(act.id.clone(), does(Deed::Call, parents(act), &of, arguments));
                each.insert(approve.id.clone(), does(Deed::Approval, parents(approve), &of, arguments));
                own.extend([act.id.clone(), approve.id.clone()]);
            }
        }
        let fragment = fragment(each)?;
        Ok(Self {
            each: read(fragment.clone())?,
            many: read(self::fragment(groups(|_| true))?)?,
            fragment,
            own,
        })
    }

    /// The schema as Cedar writes one, for editors and other tools.
    #[must_use]
    pub fn text(&self) -> String {
        self.fragment.to_cedarschema().unwrap_or_default()
    }
}

fn fragment(actions: Actions) -> Result<SchemaFragment, NoSchema> {
    let namespace = Json::object([("entityTypes", entities()), ("actions", Json::object(actions))]);
    SchemaFragment::from_json_str(&Json::object([("", namespace)]).text()).map_err(|error| no(&error))
}

fn read(fragment: SchemaFragment) -> Result<cedar_policy::Schema, NoSchema> {
    cedar_policy::Schema::from_schema_fragments([fragment]).map_err(|error| no(&error))
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
    let table: [Row<'_>; 10] = [
        (Kind::Group, &[], vec![]),
        (Kind::Agent, &[Kind::Group], person()),
        (Kind::Service, &[Kind::Group], person()),
        (Kind::Human, &[Kind::Group], vec![("id", text())]),
        (Kind::Environment, &[], vec![]),
        (Kind::Server, &[Kind::Environment], vec![]),
        (Kind::Tool, &[Kind::Server], reviewed()),
        (Kind::Prompt, &[Kind::Server], reviewed()),
        (Kind::Resource, &[Kind::Server], reviewed().into_iter().chain([("uri", text())]).collect()),
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

/// What is no target's own. A group applies to what it is the action of where `applies` says so.
fn groups(applies: impl Fn(Action) -> bool) -> Actions {
    let nothing = Record::default();
    let all: Vec<Kind> = Of::ALL.into_iter().filter(|of| *of != Of::Installation).map(Kind::of).collect();
    let mut actions = Actions::from([
        (DISCOVER.to_owned(), does(Deed::Discovery, vec![], &all, &nothing)),
        (APPROVE.to_owned(), group(vec![])),
    ]);
    let named = Action::TABLE.iter().filter(|row| row.action.ruled_as() == row.action);
    for row in named {
        let to: Vec<Kind> = row.to.iter().map(|of| Kind::of(*of)).collect();
        let approvals = format!("{APPROVE}:{}", row.name);
        let within = vec![APPROVE.to_owned()];
        let (act, approve) = if applies(row.action) {
            let arguments = of_all(row.action).map_or(&nothing, |of| of);
            let deed = if row.action == Action::Administer { Deed::Administration } else { Deed::Call };
            (does(deed, vec![], &to, arguments), does(Deed::Approval, within, &to, arguments))
        } else {
            (group(vec![]), group(within))
        };
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
