//! `touches`: what a tool, a route or an operation touches, so that who prepared something does not approve what is done with it. And
//! `capture`: what of a route's answer is a new credential of ours.

use std::collections::{BTreeMap, BTreeSet};

use authority::{ToolSettings, UpstreamSettings};
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

/// Where an answer holds a new credential, and whose it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capture {
    /// Where in the content of the answer.
    from: String,
    /// `credential:UPSTREAM`.
    to: String,
}

impl Capture {
    pub(super) fn read(&self) -> Result<authority::Capture, Wrong> {
        let wrong = || {
            let help = "write the place of a member of the answer, as in \"/key\"";
            Wrong::new(format!("= {:?} is no place of a credential", self.from)).help(help).within(["from"])
        };
        let from: Pointer = self.from.parse().map_err(|_| wrong())?;
        if from.steps().is_empty() {
            return Err(wrong());
        }
        let upstream =
            self.to.strip_prefix("credential:").filter(|name| !name.is_empty()).ok_or_else(|| {
                let help = "write \"credential:NAME\", with the name of an HTTP API";
                Wrong::new(format!("= {:?} is not where a credential is kept", self.to))
                    .help(help)
                    .within(["to"])
            })?;
        Ok(authority::Capture { from, upstream: upstream.to_owned() })
    }
}

/// What is captured is for an HTTP API that is there.
pub(super) fn each_is_for_one(
    upstreams: &BTreeMap<String, UpstreamSettings>,
    apis: &BTreeSet<&str>,
) -> Result<(), Wrong> {
    for (upstream, settings) in upstreams {
        for (name, route) in &settings.routes {
            let to = route.settings.capture.as_ref().map(|capture| capture.upstream.as_str());
            if let Some(to) = to.filter(|to| !apis.contains(to)) {
                let help = "an HTTP API of this configuration that stepup sends requests to, which has a url and routes";
                let wrong = Wrong::new(format!("= \"credential:{to}\" is for no HTTP API")).help(help);
                return Err(wrong.within(["upstreams", upstream, "routes", name, "capture", "to"]));
            }
        }
    }
    Ok(())
}

/// Nothing of an answer can be read where nobody shows it to us.
pub(super) fn answers_nothing(settings: &ToolSettings) -> Result<(), Wrong> {
    if settings.capture.is_some() {
        let help = "let its requests through stepup itself: a proxy would pass the credential on";
        return Err(Wrong::new("is of an answer that stepup does not see").help(help).within(["capture"]));
    }
    if settings.touches.iter().all(|touch| matches!(touch.from, Place::Arguments(_))) {
        return Ok(());
    }
    let help = "name what the arguments hold, or let its requests through stepup itself";
    Err(Wrong::new("has a place in an answer that stepup does not see").help(help).within(["touches"]))
}
