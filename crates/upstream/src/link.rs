//! A link: one live MCP session of ours with an upstream, and all that is ever said over it beside calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use terms::revision::Side;
use terms::{Access, Ambient, AttemptId, Boottime, Feature, Json, Millis, Revision, Secret, UpstreamHash};

use crate::answer::{Answer, Fault, RawJson};
use crate::config::Timeouts;
use crate::errand::Errand;
use crate::message::{Hello, Request, RequestId, cancelled, hello, notification};
use crate::transport::Wire;

/// Calls under way on one link.
const MOST_CALLS: usize = 1024;

/// One live MCP session with one upstream.
pub struct Link {
    upstream: String,
    identity: UpstreamHash,
    pub(crate) wire: Wire,
    pub(crate) ambient: Arc<dyn Ambient>,
    /// What `initialize` settled, whatever the callers speak whose calls go over it.
    revision: Revision,
    tools: bool,
    tasks: bool,
    timeouts: Timeouts,
    begun: Boottime,
    used: Mutex<Boottime>,
    calls: Mutex<HashMap<AttemptId, RequestId>>,
}

/// A call that is under way; it is over when this is dropped.
pub(crate) struct Call<'l> {
    link: &'l Link,
    attempt: AttemptId,
}

impl Link {
    /// Greets the upstream over a new wire.
    pub(crate) async fn greet(
        upstream: &str,
        identity: UpstreamHash,
        wire: Wire,
        timeouts: Timeouts,
        ambient: Arc<dyn Ambient>,
    ) -> Result<Self, String> {
        let now = ambient.boottime();
        let mut link = Self {
            upstream: upstream.to_owned(),
            identity,
            wire,
            ambient,
            revision: Revision::NEWEST,
            tools: false,
            tasks: false,
            timeouts,
            begun: now,
            used: Mutex::new(now),
            calls: Mutex::default(),
        };
        let result = link.errand(Errand::Hello).await.map_err(|fault| link.why(fault))?;
        let said = result.as_ref().and_then(hello).ok_or("its answer to `initialize` is not valid")?;
        link.revision = link.settle(&said)?;
        let ready = notification("notifications/initialized", None);
        link.tell(ready).await.map_err(|fault| fault.to_string())?;
        link.tools = said.tools;
        link.tasks = said.tasks && link.revision.has(Feature::Tasks);
        Ok(link)
    }

    /// Why it did not greet us, with its last words where it left any.
    fn why(&self, fault: Fault) -> String {
        let words = match &self.wire {
            Wire::Child(child) => child.said().last(),
            Wire::Http(_) => None,
        };
        words.map_or_else(|| fault.to_string(), |words| format!("{fault}; the last that it said: {words}"))
    }

    /// The revision that it answered, if we speak that one.
    fn settle(&self, said: &Hello) -> Result<Revision, String> {
        let revision = Revision::spoken(&said.version, Side::Upstreams).ok_or_else(|| {
            let version = terms::text::visible(&said.version);
            let ours: Vec<&str> = Revision::all(Side::Upstreams).map(Revision::name).collect();
            format!("it speaks MCP {version}, and stepup speaks {}", ours.join(", "))
        })?;
        match &self.wire {
            Wire::Child(_) => {}
            Wire::Http(session) => session.settled(revision).ok_or("it was greeted twice")?,
        }
        Ok(revision)
    }

    /// The name of the upstream.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// What the upstream was when this link was made.
    #[must_use]
    pub const fn identity(&self) -> UpstreamHash {
        self.identity
    }

    /// Whether calls can still be made over it, as far as we know.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.wire.alive()
    }

    /// The revision that is spoken over it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether the upstream takes calls as tasks.
    pub(crate) const fn takes_tasks(&self) -> bool {
        self.tasks
    }

    /// Whether the upstream says that it has tools.
    pub(crate) const fn has_tools(&self) -> bool {
        self.tools
    }

    /// Runs one errand. Returns the result, where the errand has one.
    ///
    /// # Errors
    /// [`Fault`] when the upstream does not answer, or answers with an error ([`Fault::Invalid`]).
    pub async fn errand(&self, errand: Errand) -> Result<Option<RawJson>, Fault> {
        match errand {
            Errand::Hello => self.ask("initialize", introduction()).await.map(Some),
            Errand::List(cursor) => {
                let cursor = cursor.map(|cursor| ("cursor", Json::from(cursor.text())));
                self.ask("tools/list", Json::object(cursor)).await.map(Some)
            }
            Errand::Ping => self.ask("ping", Json::object::<&str, Json>([])).await.map(|_| None),
            Errand::Cancel(attempt) => {
                let id = self.calls().get(&attempt).cloned();
                match id {
                    Some(id) => self.tell(cancelled(&id)).await.map(|()| None),
                    None => Ok(None),
                }
            }
            Errand::Listen => match &self.wire {
                Wire::Http(session) => session.listen().await.map(|()| None),
                Wire::Child(_) => Err(Fault::Invalid),
            },
            Errand::Close => {
                self.wire.close().await;
                Ok(None)
            }
        }
    }

    async fn ask(&self, method: &str, params: Json) -> Result<RawJson, Fault> {
        let request = Request::new(RequestId::fresh(self.ambient.as_ref()), method, params);
        let asking = async {
            let slot = self.wire.slot().await?;
            let waiting = slot.send(request, None).await.map_err(|broken| broken.fault)?;
            match waiting.answer().await.map_err(|broken| broken.fault)? {
                Answer::Result { result, .. } => Ok(result),
                Answer::Error { code, message, .. } => {
                    let message = terms::text::visible(&message);
                    tracing::warn!(upstream = self.upstream, method, code, message, "an errand was refused");
                    Err(Fault::Invalid)
                }
            }
        };
        tokio::time::timeout(self.timeouts.start.duration(), asking).await.unwrap_or(Err(Fault::Timeout))
    }

    async fn tell(&self, text: String) -> Result<(), Fault> {
        let telling = async {
            let slot = self.wire.slot().await?;
            slot.tell(text).await.map_err(|broken| broken.fault)
        };
        tokio::time::timeout(self.timeouts.connect.duration(), telling).await.unwrap_or(Err(Fault::Timeout))
    }

    /// Tells the upstream that an answer is not waited for any more.
    pub(crate) async fn cancel(self: Arc<Self>, id: RequestId) {
        // It is a courtesy; who cannot be told goes on working for nobody.
        let _ = self.tell(cancelled(&id)).await;
    }

    /// What is secret among arguments that are about to be sent: it is struck out of what the upstream may say
    /// into our log.
    pub(crate) fn passes(&self, access: &Access, clear: &Json) {
        match &self.wire {
            Wire::Child(child) => {
                let mut secrets = Vec::new();
                for (name, sealed) in access.arguments().iter() {
                    differing(sealed, clear.get(name), &mut secrets);
                }
                child.said().passes(&secrets);
            }
            Wire::Http(_) => {}
        }
    }

    /// Enters a call, so that it can be cancelled and the link counts as used.
    pub(crate) fn enter(&self, attempt: AttemptId, id: &RequestId) -> Result<Call<'_>, Fault> {
        let mut calls = self.calls();
        if calls.len() >= MOST_CALLS {
            return Err(Fault::Unreachable);
        }
        calls.insert(attempt, id.clone());
        drop(calls);
        self.touch();
        Ok(Call { link: self, attempt })
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<AttemptId, RequestId>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = self.ambient.boottime();
    }

    /// Whether nothing was called over it for as long as a link may be idle.
    pub(crate) fn idle(&self, now: Boottime) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.calls().is_empty() && now.since(used) >= self.timeouts.idle
    }

    /// How long it has been there.
    pub(crate) fn age(&self, now: Boottime) -> Millis {
        now.since(self.begun)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.link.calls().remove(&self.attempt);
        self.link.touch();
    }
}

/// The texts of the clear value wherever it is not what was judged in the open.
fn differing(sealed: &Json, clear: Option<&Json>, secrets: &mut Vec<Secret<String>>) {
    match (sealed, clear) {
        (_, None) => {}
        (Json::Object(sealed), Some(Json::Object(clear)))
            if sealed.iter().all(|(name, _)| clear.get(name).is_some()) =>
        {
            sealed.iter().for_each(|(name, value)| differing(value, clear.get(name), secrets));
        }
        (Json::Array(sealed), Some(Json::Array(clear))) => {
            sealed.iter().zip(clear).for_each(|(value, clear)| differing(value, Some(clear), secrets));
        }
        (sealed, Some(clear)) if sealed != clear => texts(clear, secrets),
        (_, Some(_)) => {}
    }
}

/// Every text within a value, and every number as text.
fn texts(value: &Json, into: &mut Vec<Secret<String>>) {
    match value {
        Json::String(text) => into.push(Secret::new(text.clone())),
        Json::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Json::Object(members) => members.iter().for_each(|(_, value)| texts(value, into)),
        Json::Number(number) => into.push(Secret::new(number.text())),
        Json::Bool(_) | Json::Null => {}
    }
}

/// `initialize`, in which we say that we can do nothing: what an upstream may ask a client is not answered.
fn introduction() -> Json {
    Json::object([
        ("protocolVersion", Json::from(Revision::NEWEST.name())),
        ("capabilities", Json::object::<&str, Json>([])),
        (
            "clientInfo",
            Json::object([
                ("name", Json::from("stepup")),
                ("version", Json::from(env!("CARGO_PKG_VERSION"))),
            ]),
        ),
    ])
}
