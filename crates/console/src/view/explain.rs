//! Why: what rules say of something, which of them, and who could give what is missing.

use askama::Template;

use super::{Bounds, Frame, Tone};
use crate::foreign::Foreign;

/// A call that somebody supposes, and what the rules say of it.
#[derive(Clone, Debug, Template)]
#[template(path = "explain.html")]
pub struct ExplainPage {
    /// Around it.
    pub frame: Frame,
    /// The callers that this person may ask about.
    pub callers: Vec<Choice>,
    /// What is pinned.
    pub things: Vec<Choice>,
    /// The resource that was asked about: `upstream/uri`.
    pub uri: String,
    /// The arguments that were asked about, as they were typed.
    pub arguments: String,
    /// Why there is no answer.
    pub problem: Option<Foreign>,
    /// The answer.
    pub answer: Option<Answer>,
}

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its id.
    pub id: String,
    /// Its name, with all that hides made visible.
    pub name: String,
    /// Whether it is.
    pub chosen: bool,
}

/// The answer to a supposed call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Who would ask.
    pub caller: Foreign,
    /// What it comes to.
    pub explained: Explanation,
}

/// What rules say.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The access, as a card would head it.
    pub title: Foreign,
    /// How it looks.
    pub tone: Tone,
    /// What stops it whatever they say.
    pub held: Vec<String>,
    /// What it comes to.
    pub says: Foreign,
    /// What its caller has of it already.
    pub has: Option<String>,
    /// Line by line along the shortest way.
    pub lines: Vec<Missing>,
    /// The shortest way to yes, where the lines are none.
    pub way: Option<&'static str>,
    /// What an approval grants.
    pub bounds: Option<Bounds>,
    /// The rules that determine it.
    pub rules: Vec<RuleText>,
    /// Whether it is a change of the installation.
    pub change: bool,
}

/// One line of what it takes.
#[derive(Clone, Debug)]
pub struct Missing {
    /// What.
    pub says: Foreign,
    /// Whether it is met.
    pub met: bool,
    /// Who could give it.
    pub could: Option<Foreign>,
    /// That nobody could.
    pub nobody: Option<&'static str>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// Its `@id`.
    pub id: Foreign,
    /// File, line and column.
    pub place: Foreign,
    /// As it stands there.
    pub text: Foreign,
}

/// Why a request was stopped, or a decision made.
#[derive(Clone, Debug, Template)]
#[template(path = "why.html")]
pub struct WhyPage {
    /// Around it.
    pub frame: Frame,
    /// The page that it is about, and what that is called.
    pub back: (String, &'static str),
    /// What was decided.
    pub title: Foreign,
    /// The name of the error that its caller was told.
    pub slug: Option<Foreign>,
    /// The policy that was in force.
    pub policy: Option<Foreign>,
    /// The rules that determined it, as they stood.
    pub rules: Vec<RuleText>,
    /// What is said of it now.
    pub today: Option<Explanation>,
}
