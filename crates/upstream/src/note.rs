//! What an upstream tells beside its answer while a call runs, and nobody answers: its log messages (MCP 2025-11-25 and
//! 2026-07-28, logging), and that an interaction beside the wire is over. They ride on a permitted call, and nothing is
//! judged by them. Whose a log message is is known as of a question: by the response that it comes on, or because one call
//! alone can be meant (rfd 25).

use serde::Deserialize;
use serde_json::value::RawValue;
use terms::Level;
use tokio::sync::mpsc;

use crate::answer::RawJson;
use crate::transport::said::Said;

/// Bytes of one log message.
const LONGEST: usize = 64 << 10;

/// Bytes of the name of a logger.
const LONGEST_NAME: usize = 256;

/// Something that is told beside an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A log message.
    Logged(Logged),
    /// The interaction of this id is over.
    Completed(String),
}

/// One log message, in the upstream's words (T32), without the secrets that stepup handed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// How severe it is, by its own word.
    pub level: Level,
    /// What of the upstream says it; at most 256 bytes.
    pub logger: Option<String>,
    /// What it says; any value, with the rest at most 64 KiB.
    pub data: RawJson,
}

/// Where what is told beside one call goes. What finds it full is dropped.
#[derive(Clone, Debug)]
pub struct Notes {
    /// This way.
    pub to: mpsc::Sender<Note>,
    /// Whether what belongs to some call of the same session, and it is not known to which, may go there.
    pub of_session: bool,
}

impl Logged {
    /// Reads the parameters of a `notifications/message`.
    pub(crate) fn read(params: &str) -> Option<Note> {
        #[derive(Deserialize)]
        struct Params<'t> {
            level: String,
            logger: Option<String>,
            #[serde(borrow)]
            data: &'t RawValue,
        }
        if params.len() > LONGEST {
            return None;
        }
        let Params { level, logger, data } = serde_json::from_str(params).ok()?;
        let logger = logger.filter(|logger| logger.len() <= LONGEST_NAME);
        Some(Note::Logged(Self { level: Level::named(&level)?, logger, data: RawJson::of(data.get()).ok()? }))
    }
}

impl Note {
    /// The same without these secrets (invariant 8). What is left of a value that is none any more is a text.
    pub(crate) fn struck(self, said: &Said) -> Self {
        let Self::Logged(Logged { level, logger, data }) = self else { return self };
        let logger = logger.map(|logger| said.struck(&logger).unwrap_or(logger));
        let data = match said.struck(data.text()) {
            None => data,
            Some(left) => {
                let value = serde_json::from_str::<&RawValue>(&left)
                    .ok()
                    .and_then(|left| RawJson::of(left.get()).ok());
                value.unwrap_or_else(|| RawJson::text_of(&left))
            }
        };
        Self::Logged(Logged { level, logger, data })
    }
}

#[cfg(test)]
mod tests {
    use terms::Secret;

    use super::*;

    #[test]
    fn what_is_no_log_message_of_mcp_is_none() {
        let long = format!(r#"{{"level":"info","data":"{}"}}"#, "x".repeat(LONGEST));
        for params in [
            r#"{"level":"info"}"#,
            r#"{"data":1}"#,
            r#"{"level":"loud","data":1}"#,
            r#"{"level":7,"data":1}"#,
            r#"{"level":"info","level":"debug","data":1}"#,
            r#"{"level":"info","data":1,"data":2}"#,
            &long,
            "[]",
        ] {
            assert_eq!(Logged::read(params), None, "{params}");
        }
    }

    #[test]
    fn t32_what_is_logged_is_handed_on_as_it_was_written_without_what_is_ours() {
        let params =
            r#"{"level":"warning","logger":"db","data":{"n":1.0,"dev.stepup/challenge":1},"_meta":{"a":1}}"#;
        let Some(Note::Logged(Logged { level, logger, data })) = Logged::read(params) else { panic!() };
        assert_eq!((level, logger.as_deref(), data.text()), (Level::Warning, Some("db"), r#"{"n":1.0}"#));
    }

    #[test]
    fn invariant_8_what_the_upstream_was_handed_is_struck_out_of_what_it_logs() {
        let said = Said::new(vec![Secret::new("canary-123".to_owned()), Secret::new("98765".to_owned())]);
        for (data, left) in [
            (r#"{"header":"Bearer canary-123","n":1.0}"#, r#"{"header":"Bearer [secret]","n":1.0}"#),
            (r#"{"pin":98765}"#, r#""{\"pin\":[secret]}""#),
            (r#""clean""#, r#""clean""#),
        ] {
            let params = format!(r#"{{"level":"info","logger":"canary-123","data":{data}}}"#);
            let Some(Note::Logged(logged)) = Logged::read(&params).map(|note| note.struck(&said)) else {
                panic!()
            };
            assert_eq!((logged.data.text(), logged.logger.as_deref()), (left, Some("[secret]")));
        }
    }
}
