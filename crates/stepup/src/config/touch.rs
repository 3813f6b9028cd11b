//! `touches`: what a tool, a route or an operation touches, so that who prepared something does not approve what is done with it.

use authority::ToolSettings;
use serde::Deserialize;
use terms::touch::{MOST, Place, nameable};
use terms::{Pointer, Touch as Read};

use super::wrong::Wrong;

/// One thing that is touched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Touch {
    /// What it is: a word of the operator's.
    kind: String,
    /// Where its key stands: `/arguments/…` or `/result/…`.
    from: String,
    /// Whether it may be touched for the first time here.
    #[serde(default)]
    first: bool,
}

/// All that one of them touches; no key of a thing is a secret.
pub(super) fn read_all(written: &[Touch], secrets: &[String]) -> Result<Vec<Read>, Wrong> {
    if written.len() > MOST {
        return Err(Wrong::new(format!("touches more than {MOST} things")));
    }
    let secrets: Vec<Pointer> = secrets.iter().filter_map(|secret| secret.parse().ok()).collect();
    written.iter().map(|touch| touch.read(&secrets)).collect()
}

impl Touch {
    fn read(&self, secrets: &[Pointer]) -> Result<Read, Wrong> {
        let Self { kind, from, first } = self;
        if !nameable(kind) {
            let help = "write a word such as \"batch\", of lower-case letters, digits, \"_\" and \"-\"";
            return Err(Wrong::new(format!("has the kind {kind:?}, which is no word for one")).help(help));
        }
        let wrong = |why: &str| Wrong::new(format!("has {from:?}, which {why}"));
        let place: Place = from.parse().map_err(|_| {
            let help = "write \"/arguments/…\" or \"/result/…\", and the place of the key in it";
            wrong("is no place of a key").help(help)
        })?;
        match &place {
            Place::Arguments(at) if secrets.iter().any(|secret| secret.covers(at) || at.covers(secret)) => {
                return Err(wrong("is secret: nobody could tell which thing it is"));
            }
            Place::Result(_) if *first => {
                let help = "leave `first` out: what an answer names may always be new";
                return Err(wrong("is in the answer").help(help));
            }
            Place::Arguments(_) | Place::Result(_) => {}
        }
        Ok(Read { kind: kind.clone(), from: place, first: *first })
    }
}

/// Nothing that an answer names can be read where nobody shows it to us.
pub(super) fn answers_nothing(settings: &ToolSettings) -> Result<(), Wrong> {
    if settings.touches.iter().all(|touch| matches!(touch.from, Place::Arguments(_))) {
        return Ok(());
    }
    let help = "name what the arguments hold, or let its requests through stepup itself";
    Err(Wrong::new("has a place in an answer that stepup does not see").help(help).within(["touches"]))
}
