//! Columns in and out. A row that does not hold what its column promises is an error, never a default.

use std::num::NonZeroU32;

use elevation::{Outcome, State, Version};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type, ValueRef};
use terms::json::Limits;
use terms::statement::{Role, Statement};
use terms::{
    Access, AccessHash, AttemptId, BindHash, Binds, BootId, CallerId, CallerKind, CardHash, DefinitionHash,
    Digest, ElevationId, GrantId, HumanId, InstallId, Json, KeyId, LockId, PinId, PolicyHash, RecordId,
    Requirement, RequirementHash, Time,
};

use crate::rows::{LockSubject, PinState};

/// A type that one column can hold.
pub(super) trait Cell: Sized {
    /// The value; `None` where the column holds something else.
    fn of(value: ValueRef<'_>) -> Option<Self>;
}

/// The columns of one row, taken from left to right.
pub(super) struct Cells<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(super) const fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub(super) fn take<T: Cell>(&mut self) -> rusqlite::Result<T> {
        let (at, value) = (self.next, self.row.get_ref(self.next)?);
        self.next += 1;
        T::of(value).ok_or_else(|| unreadable(at, value.data_type()))
    }
}

/// The error of a column that does not hold what it should. Says where, never what.
fn unreadable(at: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, kind, Box::new(FromSqlError::InvalidType))
}

/// One column of the one row of a statement.
pub(super) fn single<T: Cell>(row: &Row<'_>) -> rusqlite::Result<T> {
    Cells::of(row).take()
}

/// Stored JSON may be larger than one request: an access wraps the arguments of one.
fn json(value: ValueRef<'_>) -> Option<Json> {
    terms::json::parse_within(value.as_str().ok()?.as_bytes(), Limits::ANSWER).ok()
}

macro_rules! cells {
    ($($type:ty: $value:ident => $read:expr;)*) => {$(
        impl Cell for $type {
            fn of($value: ValueRef<'_>) -> Option<Self> {
                $read
            }
        }
    )*};
}

cells! {
    i64: v => v.as_i64().ok();
    u64: v => u64::try_from(v.as_i64().ok()?).ok();
    u32: v => u32::try_from(v.as_i64().ok()?).ok();
    NonZeroU32: v => u32::of(v).and_then(Self::new);
    bool: v => match v.as_i64().ok()? { 0 => Some(false), 1 => Some(true), _ => None };
    String: v => v.as_str().ok().map(str::to_owned);
    Vec<u8>: v => v.as_blob().ok().map(<[u8]>::to_vec);
    [u8; 16]: v => v.as_blob().ok()?.try_into().ok();
    Time: v => v.as_i64().ok().map(Self::from_millis);
    Version: v => u32::of(v).map(Self);
    Json: v => json(v);
    Access: v => Self::from_json(&json(v)?);
    Requirement: v => Self::from_json(&json(v)?);
    Binds: v => Self::from_json(&json(v)?);
    Statement: v => Self::from_json(&json(v)?);
    Role: v => Self::named(v.as_str().ok()?);
    CallerKind: v => Self::named(v.as_str().ok()?);
    State: v => Self::numbered(u8::try_from(v.as_i64().ok()?).ok()?);
    Outcome: v => Self::numbered(u8::try_from(v.as_i64().ok()?).ok()?);
    PinState: v => Self::numbered(v.as_i64().ok()?);
    LockSubject: v => Self::named(v.as_str().ok()?);
    Digest: v => Self::from_slice(v.as_blob().ok()?);
    AccessHash: v => <Digest as Cell>::of(v).map(Self::from_digest);
    BindHash: v => <Digest as Cell>::of(v).map(Self::from_digest);
    CardHash: v => <Digest as Cell>::of(v).map(Self::from_digest);
    RequirementHash: v => <Digest as Cell>::of(v).map(Self::from_digest);
    DefinitionHash: v => <Digest as Cell>::of(v).map(Self::from_digest);
    PolicyHash: v => <Digest as Cell>::of(v).map(Self::from_digest);
    AttemptId: v => Self::from_slice(v.as_blob().ok()?);
    BootId: v => Self::from_slice(v.as_blob().ok()?);
    CallerId: v => Self::from_slice(v.as_blob().ok()?);
    ElevationId: v => Self::from_slice(v.as_blob().ok()?);
    GrantId: v => Self::from_slice(v.as_blob().ok()?);
    HumanId: v => Self::from_slice(v.as_blob().ok()?);
    InstallId: v => Self::from_slice(v.as_blob().ok()?);
    KeyId: v => Self::from_slice(v.as_blob().ok()?);
    LockId: v => Self::from_slice(v.as_blob().ok()?);
    PinId: v => Self::from_slice(v.as_blob().ok()?);
    RecordId: v => Self::from_slice(v.as_blob().ok()?);
}

impl<T: Cell> Cell for Option<T> {
    fn of(value: ValueRef<'_>) -> Option<Self> {
        if matches!(value, ValueRef::Null) { Some(None) } else { T::of(value).map(Some) }
    }
}

/// A list of names, as JSON.
pub(super) struct Names(pub(super) Vec<String>);

impl Cell for Names {
    fn of(value: ValueRef<'_>) -> Option<Self> {
        let names = json(value)?;
        names.as_array()?.iter().map(|n| n.as_str().map(str::to_owned)).collect::<Option<_>>().map(Self)
    }
}

impl PinState {
    /// Its number in the store.
    pub(super) fn number(self) -> u8 {
        Self::TABLE.iter().find(|(state, ..)| *state == self).map_or(u8::MAX, |(_, n, _)| *n)
    }

    fn numbered(number: i64) -> Option<Self> {
        Self::TABLE.iter().find(|(_, n, _)| i64::from(*n) == number).map(|(state, ..)| *state)
    }
}

impl LockSubject {
    /// Its text in the store.
    pub(super) fn text(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Caller(id) => format!("caller:{id}"),
            Self::Human(id) => format!("human:{id}"),
            Self::Upstream(name) => format!("upstream:{name}"),
        }
    }

    fn named(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "all" => Some(Self::All),
            Some(("caller", id)) => id.parse().ok().map(Self::Caller),
            Some(("human", id)) => id.parse().ok().map(Self::Human),
            Some(("upstream", name)) => Some(Self::Upstream(name.to_owned())),
            _ => None,
        }
    }
}
