//! An event as it was put into the outbox.

use terms::json::Object;
use terms::{ElevationId, Json, Time, json};

use super::words::Text;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A request was opened.
    Opened,
    /// It was approved.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// It was taken back.
    Withdrawn,
    /// What it takes has changed.
    Superseded,
    /// A person has one more passkey.
    Passkey,
}

impl What {
    const TABLE: [(Self, &'static str); 7] = [
        (Self::Opened, "elevation.opened"),
        (Self::Approved, "elevation.approved"),
        (Self::Rejected, "elevation.rejected"),
        (Self::Expired, "elevation.expired"),
        (Self::Withdrawn, "elevation.withdrawn"),
        (Self::Superseded, "elevation.superseded"),
        (Self::Passkey, "passkey.enrolled"),
    ];
}

/// An event: what everybody may be told, and what callers and people said.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) what: What,
    pub(crate) kind: String,
    pub(crate) at: Time,
    pub(crate) data: Object,
    said: Object,
}

impl Event {
    /// Reads one; `None` for one that this version does not know.
    pub(crate) fn of(kind: &str, body: &str) -> Option<Self> {
        let (what, _) = What::TABLE.iter().find(|(_, name)| *name == kind)?;
        let Ok(Json::Object(mut body)) = json::parse(body.as_bytes()) else { return None };
        let Some(Json::Object(data)) = body.remove("data") else { return None };
        let said = match body.remove("said") {
            Some(Json::Object(said)) => said,
            Some(_) | None => Object::default(),
        };
        let at = body.get("timestamp").and_then(Json::as_i64).map(Time::from_millis)?;
        Some(Self { what: *what, kind: kind.to_owned(), at, data, said })
    }

    /// The request that it is about.
    pub(crate) fn elevation(&self) -> Option<ElevationId> {
        self.text("elevation").parse().ok()
    }

    /// The end of a request.
    pub(crate) fn is_over(&self) -> bool {
        match self.what {
            What::Approved | What::Rejected | What::Expired | What::Withdrawn | What::Superseded => true,
            What::Opened | What::Passkey => false,
        }
    }

    /// A member that everybody may be told; empty where it is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.data.get(name).and_then(Json::as_array).unwrap_or_default();
        list.iter().filter_map(Json::as_str).collect()
    }

    pub(crate) fn time(&self, name: &str) -> Option<Time> {
        self.data.get(name).and_then(Json::as_i64).map(Time::from_millis)
    }

    /// All that somebody said, where that is told.
    pub(crate) fn all_said(&self, how: Text) -> Option<Object> {
        (how == Text::Full).then(|| self.said.clone())
    }

    /// What somebody said, where that is told.
    pub(crate) fn said(&self, name: &str) -> Option<&str> {
        self.said.get(name).and_then(Json::as_str)
    }
}
