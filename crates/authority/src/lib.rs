//! The policy administrator: a file a verb, and each verb is one read, one pure decision, one commit.
//!
//! It is the only maker of a [`Permit`], and makes one only from the store's `Claimed`: whoever holds a
//! Permit holds the proof that this access may run now and that its record is durable (invariants 1 and 2).

mod activate;
mod active;
mod administer;
mod authority;
mod bundle;
mod captured;
mod card;
mod ceremony;
mod challenge;
mod check;
mod claims;
mod decide;
mod denials;
mod deny;
mod expire;
mod explain;
mod leaves;
mod list;
mod live;
mod lock;
mod operator;
mod passkeys;
mod people;
mod permit;
mod pins;
mod preflight;
mod proposal;
mod rehearse;
mod reject;
mod replay;
mod report;
mod resolve;
mod revoke;
mod ruling;
mod schema;
mod settle;
mod sources;
mod standing;
mod stands;
mod target;
mod told;
mod touching;
mod tried;
mod view;
mod vote;
mod watch;
mod withdraw;

pub use activate::Activated;
pub use active::Active;
pub use administer::{Added, NewCaller, NewKey};
pub use authority::{Authority, Settings, Upstream};
pub use bundle::{Bundle, BundleError, Capture, Declared, ToolSettings, UpstreamSettings};
pub use captured::{Captured, configured, is_credential};
pub use card::Shown;
pub use ceremony::{Begun, Ceremonial, SignedAssertion, token_hash};
pub use decide::{Ask, unknown};
pub use explain::{Explained, NotSupposed, ShownRule, Supposed, Takes, Told, Would};
pub use list::{Listed, ListedUris, Resources};
pub use operator::{By, CONSOLE, HOST, Operator, Stopped};
pub use permit::{Cargo, Permit, Settlement, Stale};
pub use pins::{Observed, Stated, definition_hash};
pub use preflight::{Needs, Preflight};
pub use rehearse::{Actor, Cast, Scene, Stage};
pub use reject::stated;
pub use replay::{Change as Changed, Replayed, Ruled};
pub use ruling::{Challenge, Denial, Line, Ruling};
pub use schema::are_texts;
pub use target::{Target, reads};
pub use told::{Concerned, Person, asked_groups};
pub use tried::{Asked, Tried};
pub use view::{CallerView, Status};
pub use vote::{NotCounted, Voted};
pub use watch::Waiting;

/// What went wrong inside; whoever asked denies.
pub use store::Failed;

/// Rows that people and the command line read.
pub use store::{
    Attempt, Backlog, Head, Human, Letter, Listing, Lock, LockSubject, LogLine, Member, Notice, OwnedBy,
    Passkey, Pin, PinState, Policy, RegisteredCaller, Selector, Session, Told as WasTold, Way, Whole,
};
