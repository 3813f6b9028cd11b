//! Calls that do not run, and calls that broke, told as tool errors. All text is of the one table, beside the
//! reason that a person wrote, which is quoted as theirs; never policy ids, names or upstream text (T124).

use authority::Denial;
use elevation::Outcome;
use terms::json::Object;
use terms::{AttemptId, Json, RecordId, Slug, text};

use super::Structured;
use super::carrier::stopped;
use crate::answer::Refusal;

/// Where our data stands in an answer.
const META: &str = "dev.stepup/refusal";

/// What is known of a refusal beside its row.
#[derive(Clone, Copy, Default)]
struct Particulars<'a> {
    why: Option<&'a str>,
    record: Option<RecordId>,
    attempt: Option<AttemptId>,
    /// Whether it may have run.
    ran: Option<&'a str>,
    /// What to do instead of what the row says.
    detail: Option<&'a str>,
}

/// The result of a call that was denied.
pub(crate) fn denied(denial: &Denial, structured: Structured) -> String {
    let why = denial.why.as_deref();
    let known = Particulars { why, record: denial.record, attempt: denial.attempt, ..Particulars::default() };
    told(denial.slug, known, structured)
}

/// The result of one of our own tools that cannot do what it was asked.
pub(crate) fn refused(refusal: &Refusal, structured: Structured) -> String {
    let both = refusal.todo.map(|todo| match &refusal.detail {
        Some(detail) => format!("({detail}) {todo}"),
        None => todo.to_owned(),
    });
    let detail = both.as_deref().or(refusal.detail.as_deref());
    let known = Particulars { detail, record: refusal.record, ..Particulars::default() };
    told(refusal.slug, known, structured)
}

/// A call that got no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken {
    pub(crate) slug: Slug,
    pub(crate) attempt: Option<AttemptId>,
    pub(crate) outcome: Outcome,
    /// Whether an approval was used up for it.
    pub(crate) elevated: bool,
}

/// The result of a call that got no answer: whether it may have run is what matters most.
pub(crate) fn broken(broken: &Broken, structured: Structured) -> String {
    let Broken { slug, attempt, outcome, elevated } = *broken;
    let ran = Some(ran(outcome, elevated));
    told(slug, Particulars { attempt, ran, ..Particulars::default() }, structured)
}

/// Whether a call that got no answer may have run, and what to do then.
pub(crate) const fn ran(outcome: Outcome, elevated: bool) -> &'static str {
    match (outcome, elevated) {
        (Outcome::NotSent, false) => {
            "Nothing was sent: the call did not run. Make the same call again in a while."
        }
        (Outcome::NotSent, true) => {
            "Nothing was sent: the call did not run. Its approval is used up; to run it, ask again."
        }
        (Outcome::Done | Outcome::Failed | Outcome::Released, _) => "The upstream refused the call.",
        (Outcome::Unknown, false) => {
            "The call was sent, and nobody knows whether it took effect. Look before you repeat it."
        }
        (Outcome::Unknown, true) => {
            "The call was sent, and nobody knows whether it took effect. It will not be run again before a person \
             has found out and resolved the attempt. Do not try to do the same in another way."
        }
    }
}

fn told(slug: Slug, known: Particulars<'_>, structured: Structured) -> String {
    let mut data = Object::new();
    data.insert("slug", slug.row().name);
    if let Some(record) = known.record {
        data.insert("record", record);
    }
    if let Some(attempt) = known.attempt {
        data.insert("attempt", attempt);
    }
    if let Some(why) = known.why {
        data.insert("why", text::visible(why));
    }
    stopped(slug, &words(slug, known), (META, data, None), structured)
}

fn words(slug: Slug, known: Particulars<'_>) -> String {
    let row = slug.row();
    let todo = known.ran.or(known.detail).unwrap_or(row.todo);
    let mut words = format!("{} {todo}", row.happened);
    if let Some(why) = known.why {
        words.push_str(&format!("\nA person gave this reason: \"{}\"", text::visible(why)));
    }
    if let Some(attempt) = known.attempt {
        words.push_str(&format!("\nAttempt: {attempt}"));
    }
    if let Some(record) = known.record {
        words.push_str(&format!("\nRecord: {record}"));
    }
    words
}

/// A result of our own tools: a text, and the same as data.
pub(crate) fn ours(text: &str, data: Object) -> String {
    let content = Json::object([("type", "text"), ("text", text)]);
    let result = [
        ("content", Json::from(vec![content])),
        ("isError", Json::from(false)),
        ("structuredContent", data.into()),
    ];
    Json::object(result).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_reads_is_this() {
        let attempt = AttemptId::from_slice(&[5; 16]).unwrap();
        let record = RecordId::from_slice(&[6; 16]).unwrap();
        let mut all = String::new();
        let mut say = |name: &str, words: String| all.push_str(&format!("===== {name} =====\n{words}\n\n"));
        for row in Slug::TABLE.iter().filter(|row| row.carried == terms::slug::Carried::ToolError) {
            let known = Particulars { record: Some(record), ..Particulars::default() };
            say(row.name, words(row.slug, known));
        }
        let why = Some("use 2.4.2\u{202e}, please");
        say("rejected, with a reason", words(Slug::Rejected, Particulars { why, ..Particulars::default() }));
        let known = Particulars { attempt: Some(attempt), ..Particulars::default() };
        say("already_running, with its attempt", words(Slug::AlreadyRunning, known));
        for outcome in [Outcome::NotSent, Outcome::Failed, Outcome::Unknown] {
            for elevated in [false, true] {
                let slug = Slug::UpstreamTimeout;
                let broken_ = Broken { slug, attempt: Some(attempt), outcome, elevated };
                let result = broken(&broken_, Structured::BySchema);
                let result = terms::json::parse(result.as_bytes()).unwrap();
                let text = terms::Pointer::root().child("content").child("0").child("text");
                let text = text.of(&result).and_then(Json::as_str).unwrap().to_owned();
                say(&format!("upstream_timeout, {}, elevated: {elevated}", outcome.name()), text);
            }
        }
        crate::mcp::golden("refusals.txt", &all);
    }
}
