//! The context of a question. Every value is built with its type; nothing is read by Cedar as JSON or as
//! text, so no caller can inject an entity or an extension value (decisions A4).
//!
//! ```text
//! arguments  typed from the tool's schema (see shape.rs)
//! text       the canonical text of the arguments, for `like`; secrets sealed
//! unjudged   Set of JSON Pointers of arguments without a typed form, secrets included
//! caller     { owner, chain: Set, roots: Set, key_bound: Bool }
//! time       { millis, hour, weekday: Long }   UTC; hour 0-23, weekday 1 (Monday) to 7
//! network    { source?: ipaddr }
//! history    { first_time: Bool, calls_1h: Long }
//! votes      Long, for `approve` only
//! ```

use std::net::{IpAddr, Ipv6Addr};

use cedar_policy::{Context, RestrictedExpression};
use terms::{Access, Caller, Json, Pointer, Time};

use crate::entities::Unaskable;
use crate::tool::Tool;

/// What a question knows beside caller, access and tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub at: Time,
    /// Where the request came from, where that is known.
    pub source: Option<IpAddr>,
    /// Whether this caller never reached for this resource before.
    pub first_time: bool,
    /// How often it did within the hour. Advisory under concurrency (B22).
    pub calls_1h: u32,
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

/// What `discover` and `may_need` know: who asks.
pub(crate) fn of_caller(by: &Caller) -> Result<Context, Unaskable> {
    context(vec![("caller", caller(by)?)])
}

/// The context of a call, and with `votes` that of approving it.
pub(crate) fn of_call(
    by: &Caller,
    access: &Access,
    tool: &Tool,
    moment: &Moment,
    votes: Option<u32>,
) -> Result<Asked, Unaskable> {
    let mut unjudged = Vec::new();
    let arguments = tool.arguments.typed(access.arguments(), &Pointer::root(), &mut unjudged)?;
    let mut members = vec![
        ("arguments", arguments),
        ("text", text(Json::Object(access.arguments().clone()).text())),
        ("unjudged", texts(unjudged.iter().map(Pointer::to_string))),
        ("caller", caller(by)?),
        ("time", time(moment.at)?),
        ("network", network(moment.source)?),
        ("history", history(moment)?),
    ];
    if let Some(votes) = votes {
        members.push(("votes", RestrictedExpression::new_long(i64::from(votes))));
    }
    Ok(Asked { context: context(members)?, unjudged })
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

fn history(moment: &Moment) -> Result<RestrictedExpression, Unaskable> {
    record(vec![
        ("first_time", RestrictedExpression::new_bool(moment.first_time)),
        ("calls_1h", RestrictedExpression::new_long(i64::from(moment.calls_1h))),
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
