//! The context of a question. Every value is built with its type; nothing is read by Cedar as JSON or as
//! text, so no caller can inject an entity or an extension value (decisions A4).
//!
//! ```text
//! arguments  typed from the target's schema (see shape.rs)
//! text       the canonical text of the arguments, for `like`; secrets sealed
//! unjudged   Set of JSON Pointers of arguments without a typed form, secrets included
//! caller     { owner, chain: Set, roots: Set, key_bound: Bool }
//! time       { millis, hour, weekday: Long }   UTC; hour 0-23, weekday 1 (Monday) to 7
//! network    { source?: ipaddr }
//! history    { first_time: Bool, calls_1h: Long }
//! votes      Long, for `approve` only
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use cedar_policy::{Context, RestrictedExpression};
use terms::{Caller, Json, Pointer, Time};

use crate::Question;
use crate::entities::Unaskable;

/// What a question knows beside caller, access and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub at: Time,
    /// Where the request came from, where that is known.
    pub source: Option<IpAddr>,
    /// What the caller did before, read only for rules that ask ([`crate::PolicySet::reads_history`]). A rule that
    /// asks while it is not known cannot be answered.
    pub history: Option<History>,
}

/// What a caller did before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Whether it never reached for this resource.
    pub first_time: bool,
    /// How many calls it made within the hour. Advisory under concurrency (B22).
    pub calls_1h: u32,
}

/// A member of the context. Only those that a rule of the slice speaks of are made: the others cannot
/// change its answer, and some are dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Member {
    Arguments,
    Text,
    Unjudged,
    Caller,
    Time,
    Network,
    History,
    Votes,
}

impl Member {
    pub const TABLE: [(Self, &'static str); 8] = [
        (Self::Arguments, "arguments"),
        (Self::Text, "text"),
        (Self::Unjudged, "unjudged"),
        (Self::Caller, "caller"),
        (Self::Time, "time"),
        (Self::Network, "network"),
        (Self::History, "history"),
        (Self::Votes, "votes"),
    ];
}

/// A context, and what of the arguments has no typed form.
pub(crate) struct Asked {
    pub context: Context,
    pub unjudged: Vec<Pointer>,
}

/// Names and values.
type Members = Vec<(&'static str, RestrictedExpression)>;

fn text(text: impl Into<String>) -> RestrictedExpression {
    RestrictedExpression::new_string(text.into())
}

fn texts(texts: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(text))
}

fn record(members: Members) -> Result<RestrictedExpression, Unaskable> {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(members).map_err(|_| Unaskable)
}

fn context(members: Members) -> Result<Context, Unaskable> {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(members).map_err(|_| Unaskable)
}

/// What `discover` knows: who asks.
pub(crate) fn of_caller(by: &Caller) -> Result<Context, Unaskable> {
    context(vec![("caller", caller(by)?)])
}

/// The context of a call, and with `votes` that of approving it, as far as `members` are spoken of.
pub(crate) fn of_call(
    question: &Question<'_>,
    votes: Option<u32>,
    members: &BTreeSet<Member>,
) -> Result<Asked, Unaskable> {
    let Question { caller: by, access, target, moment } = question;
    let mut unjudged = Vec::new();
    let mut made = Vec::with_capacity(members.len());
    let spoken = |(member, _): &(Member, &str)| members.contains(member);
    for (member, name) in Member::TABLE.into_iter().filter(spoken) {
        let value = match member {
            Member::Arguments => {
                let verb = target.verb(access.action()).ok_or(Unaskable)?;
                verb.arguments.typed(access.arguments(), &Pointer::root(), &mut unjudged)?
            }
            Member::Text => text(Json::Object(access.arguments().clone()).text()),
            Member::Unjudged => texts(unjudged.iter().map(Pointer::to_string)),
            Member::Caller => caller(by)?,
            Member::Time => time(moment.at)?,
            Member::Network => network(moment.source)?,
            Member::History => history(moment.history)?,
            Member::Votes => match votes {
                Some(votes) => RestrictedExpression::new_long(i64::from(votes)),
                None => continue,
            },
        };
        made.push((name, value));
    }
    Ok(Asked { context: context(made)?, unjudged })
}

fn caller(caller: &Caller) -> Result<RestrictedExpression, Unaskable> {
    record(vec![
        ("owner", text(caller.owner.as_str())),
        ("chain", texts(caller.act.iter().cloned())),
        ("roots", texts(caller.roots.iter().map(ToString::to_string))),
        ("key_bound", RestrictedExpression::new_bool(caller.key_bound)),
    ])
}

fn time(at: Time) -> Result<RestrictedExpression, Unaskable> {
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    let millis = at.millis();
    // 1970-01-01 was a Thursday, the fourth day of ISO 8601's week.
    let weekday = (millis.div_euclid(DAY) + 3).rem_euclid(7) + 1;
    let long = RestrictedExpression::new_long;
    record(vec![
        ("millis", long(millis)),
        ("hour", long(millis.rem_euclid(DAY) / HOUR)),
        ("weekday", long(weekday)),
    ])
}

fn network(source: Option<IpAddr>) -> Result<RestrictedExpression, Unaskable> {
    let source = source.map(|source| ("source", RestrictedExpression::new_ip(ip(source))));
    record(source.into_iter().collect())
}

/// Cedar refuses IPv4 within IPv6: a mapped address is the IPv4 one, and IPv6 is written in groups only.
fn ip(source: IpAddr) -> String {
    match source.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => groups(v6),
    }
}

fn groups(v6: Ipv6Addr) -> String {
    v6.segments().map(|group| format!("{group:x}")).join(":")
}

fn history(history: Option<History>) -> Result<RestrictedExpression, Unaskable> {
    let History { first_time, calls_1h } = history.ok_or(Unaskable)?;
    record(vec![
        ("first_time", RestrictedExpression::new_bool(first_time)),
        ("calls_1h", RestrictedExpression::new_long(i64::from(calls_1h))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_a_socket_can_have_is_one_that_cedar_reads() {
        for source in ["127.0.0.1", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "2001:db8::7", "fe80::1"] {
            let network = network(Some(source.parse().unwrap())).unwrap();
            assert!(context(vec![("network", network)]).is_ok(), "{source}");
        }
    }
}
