//! Carrier E of standards 1.6, the structured tool error, which every client shows its model: what happened,
//! what it takes, and what to do next, in words that are read by models and people alike.

use authority::Challenge;
use terms::json::Object;
use terms::{Json, Slug};

use crate::mcp::Structured;
use crate::settings::Settings;
use crate::told;

/// Where our data stands in an answer. Upstreams cannot write it: `upstream` takes it out of theirs (T32).
pub(super) const META: &str = "dev.stepup/challenge";

/// Members of `_meta` that are named at most.
const NAMED: usize = 5;

/// The result of a call that takes evidence first;
/// `meta` is what of the call is bound beside its arguments.
pub(crate) fn challenged(
    settings: &Settings,
    challenge: &Challenge,
    meta: &Object,
    structured: Structured,
) -> String {
    let data = told::challenge(settings, challenge);
    let denial = told::denial(settings, challenge);
    stopped(challenge.slug, &text(settings, challenge, meta), (META, data, denial), structured)
}

/// A tool error with a text, and data in `_meta` and where it is free in `structuredContent`; or an error with the same.
pub(crate) fn stopped(
    slug: Slug,
    text: &str,
    (key, mut data, denial): (&str, Object, Option<Json>),
    structured: Structured,
) -> String {
    if structured == Structured::Error {
        data.insert("slug", slug.row().name);
        if let Some(denial) = denial {
            data.insert(told::DENIAL.1, denial);
        }
        let code = Json::from(i64::from(slug.row().code));
        let error = [("code", code), ("message", Json::from(text)), ("data", data.into())];
        return Json::object(error).text();
    }
    let content = Json::object([("type", "text"), ("text", text)]);
    let mut result = Object::new();
    result.insert("content", vec![content]);
    result.insert("isError", true);
    if structured == Structured::Free {
        result.insert("structuredContent", data.clone());
    }
    result.insert("_meta", beside(key, data, denial));
    Json::Object(result).text()
}

/// What stands in `_meta`: our data, and those of SEP-2643 where they are told.
pub(super) fn beside(key: &str, data: Object, denial: Option<Json>) -> Json {
    let denial = denial.map(|denial| (told::DENIAL.0, denial));
    Json::object([(key, Json::Object(data))].into_iter().chain(denial))
}

fn text(settings: &Settings, challenge: &Challenge, meta: &Object) -> String {
    let happened = challenge.slug.row().happened;
    let opened =
        if challenge.opened { "A request for it was opened." } else { "A request for it is waiting." };
    let mut text = format!("NOT EXECUTED. {happened} {opened}\n");
    if let Some(ran) = &challenge.ran {
        text.push_str(&told::ran(ran));
    }
    text.push('\n');
    text.push_str(&told::takes(&challenge.label, &challenge.lines));
    text.push_str("\nWhat to do:\n");
    for (n, step) in steps(settings, challenge).iter().enumerate() {
        text.push_str(&format!("{}. {step}\n", n + 1));
    }
    if !meta.is_empty() {
        text.push_str(&format!("\n{}\n", of_meta(challenge, meta)));
    }
    let until = told::moment(challenge.expires_at);
    text.push_str(&format!(
        "\nDo not change the arguments and do not try another way: any other call needs an approval of its own. \
         This request ends at {until} if nobody decides."
    ));
    text
}

/// A repeat is the same call only if its `_meta` is the same too, and clients write that, not models (B27).
fn of_meta(challenge: &Challenge, meta: &Object) -> String {
    let names = meta.iter().take(NAMED).map(|(name, _)| terms::text::visible(name)).collect::<Vec<_>>();
    let instead = if challenge.runnable { ": use `stepup_run` instead" } else { "" };
    format!(
        "Your client sent {} in _meta, and the approval is for exactly that too. If it sends something else there \
         each time, repeating the call is another call{instead}.",
        names.join(", ")
    )
}

fn steps(settings: &Settings, challenge: &Challenge) -> Vec<String> {
    let id = challenge.elevation;
    let wanted = [(challenge.wants_purpose, "purpose"), (challenge.wants_ticket, "ticket")];
    let wanted: Vec<&str> = wanted.iter().filter(|(wants, _)| *wants).map(|(_, name)| *name).collect();
    let mut steps = Vec::new();
    if !wanted.is_empty() {
        let members = wanted.iter().map(|name| format!("\"{name}\":\"...\"")).collect::<Vec<_>>().join(",");
        steps.push(format!(
            "Give the {}: call the tool `stepup_run` with {{\"elevation\":\"{id}\",{members}}}. \
             Nobody can approve before that.",
            wanted.join(" and the ")
        ));
    }
    steps.push(format!(
        "Tell the person you work for to open {} and to check that it shows these four words: {}.",
        told::link(settings, id),
        challenge.words.join(" ")
    ));
    steps.push(if challenge.runnable {
        format!(
            "Then call the tool `stepup_run` with {{\"elevation\":\"{id}\"}}: it waits for the decision and \
             runs this very call once. Repeating exactly this call does the same."
        )
    } else {
        "Then repeat exactly this call, secrets included: they were not kept, so only you can send them again. \
         The repeat waits for the decision."
            .to_owned()
    });
    steps
}

#[cfg(test)]
mod tests {
    use authority::Line;
    use terms::hash::Digest;
    use terms::{AccessHash, ElevationId, Slug, Time};

    use super::*;

    fn settings() -> Settings {
        Settings::at("http://127.0.0.1:7300", "http://localhost:7301")
    }

    fn example() -> Challenge {
        Challenge {
            elevation: ElevationId::from_slice(&[7; 16]).unwrap(),
            access: AccessHash::from_digest(Digest::plain(b"access")),
            slug: Slug::ApprovalRequired,
            words: ["alpha", "bravo", "candy", "delay"],
            label: "release-approval".to_owned(),
            lines: vec![Line { says: "approval by a person".to_owned(), have: 0, need: 1 }],
            wants_purpose: false,
            wants_ticket: false,
            expires_at: Time::from_millis(1_800_000_000_000),
            opened: true,
            runnable: true,
            ran: None,
            record: None,
        }
    }

    fn variants() -> Vec<(&'static str, Challenge)> {
        let line = |says: &str, have, need| Line { says: says.to_owned(), have, need };
        vec![
            ("first", example()),
            ("waiting", Challenge { opened: false, ..example() }),
            (
                "purpose and ticket are missing",
                Challenge {
                    wants_purpose: true,
                    wants_ticket: true,
                    lines: vec![
                        line("a purpose: say why", 0, 1),
                        line("a ticket like OPS-[0-9]+", 0, 1),
                        line("approval by 2 people", 1, 2),
                    ],
                    ..example()
                },
            ),
            ("a secret argument", Challenge { runnable: false, ..example() }),
            (
                "it ran and the answer was lost",
                Challenge {
                    slug: Slug::GrantSpent,
                    ran: Some((Time::from_millis(1_799_999_000_000), "done".to_owned())),
                    ..example()
                },
            ),
        ]
    }

    #[test]
    fn what_a_model_reads_is_this() {
        let mut all = String::new();
        for (name, challenge) in variants() {
            let told = text(&settings(), &challenge, &Object::new());
            all.push_str(&format!("===== {name} =====\n{told}\n\n"));
        }
        let meta = Object::from_iter([("claude/toolUse\u{202e}Id", "toolu_1"), ("x.y/z", "1")]);
        let told = text(&settings(), &example(), &meta);
        all.push_str(&format!("===== a client that sends _meta =====\n{told}\n\n"));
        crate::mcp::golden("challenge.txt", &all);
    }

    #[test]
    fn the_manual_shows_what_a_model_reads() {
        let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mcp.md");
        let manual = std::fs::read_to_string(manual).unwrap();
        assert!(
            manual.contains(&text(&settings(), &example(), &Object::new())),
            "docs/mcp.md shows another text"
        );
    }

    #[test]
    fn t124_nothing_in_a_challenge_names_a_policy_or_a_person() {
        let data = Json::Object(told::challenge(&settings(), &example()));
        let names: Vec<&str> = data.as_object().unwrap().iter().map(|(name, _)| name).collect();
        let told = [
            "access_hash",
            "elevation",
            "expires_at",
            "link",
            "requirement",
            "requires",
            "retry_after_ms",
            "status_url",
            "words",
        ];
        assert_eq!(names, told);
    }

    #[test]
    fn a_tool_with_an_output_schema_gets_its_data_in_meta_only() {
        for (structured, has) in [(Structured::Free, true), (Structured::BySchema, false)] {
            let result = challenged(&settings(), &example(), &Object::new(), structured);
            let result = terms::json::parse(result.as_bytes()).unwrap();
            assert_eq!(result.get("structuredContent").is_some(), has);
            assert!(result.get("_meta").unwrap().get(META).unwrap().get("elevation").is_some());
            assert_eq!(result.get("isError").and_then(Json::as_bool), Some(true));
        }
    }
}
