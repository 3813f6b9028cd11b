//! What comes back: the upstream's answer as it wrote it, or why there is none, and how the attempt ended.
//!
//! Answers are data (T32): nothing in them is believed, and nothing is judged by them. They are checked to
//! be JSON within limits and handed on by their text, so that a caller reads the same value as without us.

use elevation::Outcome;
use terms::json::Limits;
use terms::{Abilities, Feature, Json, Slug};

use crate::modern::{MISSING_CAPABILITY, UNSUPPORTED_VERSION};
use crate::raw;

/// JSON text that an upstream wrote: valid, within [`Limits::ANSWER`], on one line, without members that
/// only we may write. Not canonical: numbers are as the upstream wrote them.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// Takes a text that is known to be JSON of an acceptable size.
    pub(crate) fn of(text: &str) -> Result<Self, raw::TooDeep> {
        raw::within(text, Limits::ANSWER.depth)?;
        Ok(Self(raw::one_line(&raw::without_ours(text)).into()))
    }

    /// An object with nothing in it.
    pub(crate) fn empty() -> Self {
        Self("{}".into())
    }

    /// A text as a value.
    pub(crate) fn text_of(text: &str) -> Self {
        Self(Json::from(text).text().into())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value; `None` where two readers could read two.
    #[must_use]
    pub fn read(&self) -> Option<Json> {
        terms::json::parse_within(self.0.as_bytes(), Limits::ANSWER).ok()
    }
}

/// Arguments echoed by an upstream may be secrets: only the length is printed.
impl std::fmt::Debug for RawJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

/// The error code with which a server asks for an address to be opened (MCP 2025-11-25, elicitation). We declare no
/// elicitation, so its links are not handed on (T32).
pub(crate) const URL_ELICITATION_REQUIRED: i64 = -32042;

/// A complete answer of the upstream to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A result; always an object.
    Result {
        /// Its text.
        result: RawJson,
        /// Whether the tool says that it failed (`isError`).
        failed: bool,
    },
    /// A JSON-RPC error.
    Error {
        /// The upstream's code.
        code: i64,
        /// The upstream's message.
        message: String,
        /// The upstream's data.
        data: Option<RawJson>,
    },
    /// It wants to be told more before it goes on (MCP 2026-07-28, multi round-trip requests). Nothing waits there: what
    /// it did until then is done, and the call is not.
    InputRequired {
        /// What it asks for, by names of its own: an object of at most 64 requests of a client. Absent where it only
        /// wants to be called again.
        requests: Option<RawJson>,
        /// What it wants back with the answers, a text of at most 64 KiB as it wrote it: a claim, and no business of anyone
        /// else's.
        state: Option<RawJson>,
        /// What of a client it takes to answer.
        takes: Abilities,
    },
}

impl Answer {
    /// What the upstream asks of its client before it does what it was called for.
    #[must_use]
    pub const fn needs(&self) -> Option<Feature> {
        match self {
            Self::Error { code: URL_ELICITATION_REQUIRED, .. } => Some(Feature::UrlElicitation),
            Self::Error { code: MISSING_CAPABILITY, .. } => Some(Feature::Capabilities),
            Self::InputRequired { .. } | Self::Error { .. } | Self::Result { .. } => None,
        }
    }

    /// How an attempt that was answered so has ended: a tool that says that it failed has failed, and so has one that
    /// answers with an error, or that stopped to ask: by its own word it did not do what it was called for.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Result { failed: false, .. } => Outcome::Done,
            Self::Result { failed: true, .. } | Self::Error { .. } | Self::InputRequired { .. } => {
                Outcome::Failed
            }
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The permit, or the upstream that it was given for, is not what it was: a lock, new rules, a passed
    /// deadline, another identity. Nothing was sent.
    #[error("the permit is no longer good: {0}")]
    Stale(Slug),
    /// There is no connection, no child, or no room. Nothing was sent.
    #[error("the upstream could not be reached")]
    Unreachable,
    /// As much is subscribed to over this link as may be. Nothing was sent.
    #[error("too much is subscribed to at the upstream")]
    Full,
    /// The connection or the child ended before the answer was complete.
    #[error("the upstream went away before it had answered")]
    Closed,
    /// No answer in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// What came is not an answer.
    #[error("the upstream's answer is not valid")]
    Invalid,
    /// An HTTP status in the place of an answer.
    #[error("the upstream answered with HTTP status {0}")]
    Status(u16),
    /// The upstream refused the request by its form, as MCP 2026-07-28 has it refused: its headers or its revision.
    #[error("the upstream refused the form of the request (error {0})")]
    Form(i64),
    /// The call takes what we do not carry: nothing was sent, or the upstream refused it.
    #[error("the upstream needs what is not carried: {}", .0.name())]
    Needs(Feature),
    /// It was taken back while it ran, in the only way that there is over HTTP in the modern era: its answer is given up.
    #[error("the call was taken back while it ran")]
    TakenBack,
}

impl Fault {
    /// The row of the error table that a caller is told.
    #[must_use]
    pub const fn slug(self) -> Slug {
        match self {
            Self::Stale(slug) => slug,
            Self::Unreachable | Self::Closed => Slug::UpstreamUnreachable,
            Self::Full => Slug::OverBudget,
            Self::Timeout | Self::TakenBack => Slug::UpstreamTimeout,
            Self::Invalid | Self::Status(_) | Self::Form(_) => Slug::UpstreamInvalid,
            Self::Needs(_) => Slug::UpstreamNeedsFeature,
        }
    }

    /// Whether it is as from a server that does not speak our revision, or not the modern era at all (MCP 2026-07-28,
    /// streamable HTTP, "Backward Compatibility").
    pub(crate) const fn speaks_otherwise(self) -> bool {
        match self {
            Self::Status(400 | 404 | 405) | Self::Form(UNSUPPORTED_VERSION) => true,
            Self::Stale(_)
            | Self::Unreachable
            | Self::Full
            | Self::Closed
            | Self::Timeout
            | Self::Invalid
            | Self::Status(_)
            | Self::Form(_)
            | Self::Needs(_)
            | Self::TakenBack => false,
        }
    }

    /// Whether the same may go well a while later.
    #[must_use]
    pub const fn passes(self) -> bool {
        match self {
            Self::Unreachable | Self::Closed | Self::Timeout | Self::Status(500..=599) => true,
            Self::Stale(_)
            | Self::Full
            | Self::Invalid
            | Self::Status(_)
            | Self::Form(_)
            | Self::Needs(_)
            | Self::TakenBack => false,
        }
    }

    /// How an attempt with this fault has ended. A status of the 400s is an upstream's own refusal; one of
    /// the 500s may come from something in between, while the call runs on behind it (F36).
    pub(crate) const fn outcome(self, sent: bool) -> Outcome {
        match self {
            Self::Status(300..=499) => Outcome::Failed,
            Self::Form(_) | Self::Needs(_) if sent => Outcome::Failed,
            Self::Stale(_)
            | Self::Unreachable
            | Self::Full
            | Self::Closed
            | Self::Timeout
            | Self::Invalid
            | Self::Status(_)
            | Self::Form(_)
            | Self::Needs(_)
            | Self::TakenBack => {
                if sent {
                    Outcome::Unknown
                } else {
                    Outcome::NotSent
                }
            }
        }
    }
}

/// One notice of how far a call is (`notifications/progress`), in the upstream's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// How far; rises from notice to notice.
    pub progress: f64,
    /// Out of how much.
    pub total: Option<f64>,
    /// A text for people or models: data, never markup.
    pub message: Option<String>,
}
