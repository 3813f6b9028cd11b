//! Records as sentences: a table of templates over the bodies of records, one loop.

use terms::{Json, Pointer};

/// Every kind of record with the line that a person reads; `{/pointer}` is filled in from the body.
const TABLE: &[(&str, &str)] = &[
    ("started", "A node started, stepup {/version}"),
    ("restored", "The store was restored from a backup: {/why}"),
    ("migrated", "The store was changed to a newer schema"),
    ("permitted", "{/caller/name} was permitted {/access/resource/id} by policy alone"),
    ("challenged", "{/caller/name} was stopped at {/access/resource/id} until it is approved"),
    ("spent", "{/caller/name} was permitted {/access/resource/id} by its grant"),
    ("denied", "{/caller/name} was denied {/access/resource/id}: {/slug} ({/count})"),
    ("settled", "An attempt ended: {/outcome}"),
    ("reported", "Its caller said how an attempt had ended: {/outcome}. {/says}"),
    ("resolved", "{/signed/human} said how an attempt had ended: {/outcome}. {/why}"),
    ("shadowed", "Rules that are only tried would have stopped {/caller/name} at {/resource}"),
    ("listed", "A caller listed {/count} {/what} of {/upstream}"),
    ("preflighted", "{/caller/name} asked what {/resource} would come to: {/ruling}"),
    ("voted", "{/name} signed: {/statement/verdict}"),
    ("granted", "A grant was issued; uses: {/uses}"),
    ("rejected", "{/name} rejected: {/reason}"),
    ("expired", "A request expired; nobody answered"),
    ("withdrawn", "{/by} withdrew a request: {/why}"),
    ("superseded", "A request was closed: {/why}"),
    ("not_told", "{/recipient} could not be told over {/channel}: {/why} ({/count})"),
    ("revoked", "{/by} took grants back: {/why}"),
    ("locked", "{/by} locked {/subject/kind} {/subject/id}: {/why}"),
    ("unlocked", "{/signed/human} lifted a lock: {/why}"),
    ("policy_proposed", "A policy was proposed by {/by}"),
    ("policy_activated", "A policy came into force, by {/by}"),
    ("policy_recovered", "A policy was put in force without asking the rules, by {/by}"),
    ("policy_refused", "A policy was refused: {/why}"),
    ("upstream_added", "Upstream {/upstream} was added"),
    ("upstream_changed", "Upstream {/upstream} changed"),
    ("pinned", "Tools of {/upstream} were pinned at first contact"),
    ("pin_accepted", "{/by} accepted {/definition/name} of {/upstream}"),
    ("pin_refused", "{/by} refused {/definition/name} of {/upstream}"),
    ("quarantined", "Definitions of {/upstream} were stopped: {/why}"),
    ("caller_added", "Caller {/name} was added for {/owner}"),
    ("caller_changed", "Caller {/name} was changed"),
    ("caller_disabled", "Caller {/name} was disabled by {/by}"),
    ("caller_key_added", "A caller got a new key, {/key_prefix}…"),
    ("caller_key_revoked", "A caller's key was revoked"),
    ("human_added", "{/name} was added by {/by}"),
    ("human_changed", "{/name} was invited again by {/invited_by}; earlier invitations are over"),
    ("human_disabled", "{/name} was disabled by {/by}"),
    ("group_changed", "The membership of {/member} in {/group} was set to {/in}"),
    ("passkey_enrolled", "A passkey of {/human} was enrolled by {/by}"),
    ("passkey_revoked", "{/by} revoked a passkey: {/why}"),
    ("signed_in", "{/human} signed in"),
    ("key_rotated", "A key of the installation was replaced"),
    ("exported", "The log was exported by {/by}"),
    ("erased", "The body of record {/leaf} was erased: {/why}"),
    ("leased", "A credential was lent"),
    ("recalled", "A lent credential was recalled"),
];

/// What a record says, as one line; `name` gives the name of whom an id is. A body that was erased, or that lacks a
/// member, leaves a dash.
pub(crate) fn says(kind: &str, body: Option<&Json>, name: &impl Fn(&str) -> Option<String>) -> String {
    let template = TABLE.iter().find(|(name, _)| *name == kind).map_or(kind, |(_, says)| says);
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, after) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        let filled = member(body, pointer, name);
        if filled.is_empty() {
            out.truncate(out.trim_end().len()); // "locked all: why"
        }
        out.push_str(&filled);
        rest = after;
    }
    out + rest
}

fn member(body: Option<&Json>, pointer: &str, name: &impl Fn(&str) -> Option<String>) -> String {
    let found = pointer.parse::<Pointer>().ok().and_then(|at| at.of(body?).cloned());
    match found {
        Some(Json::String(text)) => name(&text).unwrap_or(text),
        None | Some(Json::Null) => "–".to_owned(),
        Some(other @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_))) => other.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_record_has_a_sentence_and_no_sentence_is_of_no_kind() {
        let mut ours: Vec<&str> = TABLE.iter().map(|(kind, _)| *kind).collect();
        let mut theirs: Vec<&str> = audit::record::Kind::TABLE.iter().map(|(_, name)| *name).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn a_sentence_is_filled_from_the_body_and_a_missing_member_is_a_dash() {
        let body = Json::object([("name", "erin"), ("reason", "too {/late}")]);
        let nobody = |_: &str| None;
        assert_eq!(says("rejected", Some(&body), &nobody), "erin rejected: too {/late}");
        assert_eq!(says("rejected", None, &nobody), "– rejected: –");
        let all = Json::object([("kind", "all"), ("id", "")]);
        let locked =
            Json::object([("by", Json::from("erin")), ("subject", all), ("why", Json::from("drill"))]);
        assert_eq!(says("locked", Some(&locked), &nobody), "erin locked all: drill");
    }

    #[test]
    fn a_person_is_called_by_name_and_not_by_id() {
        let body = Json::object([("human", "hum_1")]);
        let name = |id: &str| (id == "hum_1").then(|| "erin".to_owned());
        assert_eq!(says("signed_in", Some(&body), &name), "erin signed in");
    }
}
