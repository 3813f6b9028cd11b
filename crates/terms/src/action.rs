//! What can be done, and to what: one table, which rules, doors and the exit share. The names of what callers do to what an
//! upstream has are those of MCP's methods, as in COAZ, so that a foreign decision point reads the same access.

use crate::Method;

/// What an upstream has, or what we have ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A tool, by name.
    Tool,
    /// A prompt, by name.
    Prompt,
    /// A resource, by its URI; or a template of such, by its text.
    Resource,
    /// A route of an HTTP API, by the name that the operator gave it.
    Route,
    /// An operation of an application, by the name that the operator gave it: the application does it itself, and asks.
    Operation,
    /// A part of this installation: its rules, its people, …. No upstream has one, and no door leads a caller to it.
    Installation,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A tool is called.
    Call,
    /// A prompt is filled in.
    Get,
    /// A resource is read.
    Read,
    /// Values are proposed for an argument of a prompt, or for a variable of a template.
    Complete,
    /// It is told of whenever a resource changes.
    Subscribe,
    /// A request is sent along a route, by its method.
    Send(Method),
    /// An operation is done.
    Do,
    /// A part of this installation is changed: what decisions rest on.
    Administer,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The action.
    pub action: Action,
    /// Its name: in an access, in rules, and as a method.
    pub name: &'static str,
    /// What it is done to.
    pub to: &'static [Kind],
}

const TABLE: [Row; 13] = [
    Row { action: Action::Call, name: "tools/call", to: &[Kind::Tool] },
    Row { action: Action::Get, name: "prompts/get", to: &[Kind::Prompt] },
    Row { action: Action::Read, name: "resources/read", to: &[Kind::Resource] },
    Row { action: Action::Complete, name: "completion/complete", to: &[Kind::Prompt, Kind::Resource] },
    Row { action: Action::Subscribe, name: "resources/subscribe", to: &[Kind::Resource] },
    Row { action: Action::Send(Method::Get), name: "http/GET", to: &[Kind::Route] },
    Row { action: Action::Send(Method::Head), name: "http/HEAD", to: &[Kind::Route] },
    Row { action: Action::Send(Method::Post), name: "http/POST", to: &[Kind::Route] },
    Row { action: Action::Send(Method::Put), name: "http/PUT", to: &[Kind::Route] },
    Row { action: Action::Send(Method::Patch), name: "http/PATCH", to: &[Kind::Route] },
    Row { action: Action::Send(Method::Delete), name: "http/DELETE", to: &[Kind::Route] },
    Row { action: Action::Do, name: "do", to: &[Kind::Operation] },
    Row { action: Action::Administer, name: "administer", to: &[Kind::Installation] },
];

impl Action {
    /// The table.
    pub const TABLE: &'static [Row] = &TABLE;

    /// This action's row.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        let [call, get, read, complete, subscribe, sends @ .., done, administer] = &TABLE;
        let [send_get, send_head, send_post, send_put, send_patch, send_delete] = sends;
        match self {
            Self::Call => call,
            Self::Get => get,
            Self::Read => read,
            Self::Complete => complete,
            Self::Subscribe => subscribe,
            Self::Send(Method::Get) => send_get,
            Self::Send(Method::Head) => send_head,
            Self::Send(Method::Post) => send_post,
            Self::Send(Method::Put) => send_put,
            Self::Send(Method::Patch) => send_patch,
            Self::Send(Method::Delete) => send_delete,
            Self::Do => done,
            Self::Administer => administer,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The action by which rules speak of it: who may read a resource may be told that it changes, and nobody else.
    #[must_use]
    pub const fn ruled_as(self) -> Self {
        match self {
            Self::Subscribe => Self::Read,
            Self::Call
            | Self::Get
            | Self::Read
            | Self::Complete
            | Self::Send(_)
            | Self::Do
            | Self::Administer => self,
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.action)
    }

    /// Whether it is done to such a thing.
    #[must_use]
    pub fn is_to(self, kind: Kind) -> bool {
        self.row().to.contains(&kind)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tool, Self::Prompt, Self::Resource, Self::Route, Self::Operation, Self::Installation];

    /// Its name in an access.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Route => "route",
            Self::Operation => "operation",
            Self::Installation => "installation",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_names_one_row_and_every_row_is_its_own() {
        for row in Action::TABLE {
            assert_eq!((row.action.name(), Action::named(row.name)), (row.name, Some(row.action)));
        }
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert!(Action::TABLE.iter().any(|row| row.action.is_to(kind)));
        }
        for name in [
            "",
            "Tools/call",
            "tools/list",
            "resources/unsubscribe",
            "server",
            "http",
            "http/get",
            "http/TRACE",
        ] {
            assert_eq!((Action::named(name), Kind::named(name)), (None, None), "{name}");
        }
    }
}
