//! The streams on which a caller hears that one of its lists may be another one now, or a resource that it subscribed to, and
//! nothing else: in the legacy era that
//! of its session, opened with `GET`; in the modern one those that it asks for (MCP 2026-07-28, subscriptions). Their
//! events have no ids: there is nothing that could be resumed, by its caller or by another (T23).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use authority::Active;
use axum::response::Response;
use http::{HeaderMap, HeaderName};
use terms::json::Object;
use terms::revision::Era;
use terms::{Action, Boottime, Caller, CallerId, DefinitionHash, Digest, Json, Kind, PolicyHash, Slug};

use super::address::Address;
use super::beside::completed;
use super::conversation::Conversation;
use super::envelope::{Id, Request, only};
use super::session::Listening;
use super::stream::{OPEN, STILL_HERE, events, message};
use super::watching::{Untold, Watches};
use super::{ask, legacy, result, takes, watching};
use crate::answer::{self, Refusal};
use crate::caller::{Known, Place};
use crate::gateway::Shared;

/// How often is looked whether anything has changed.
const LOOK: Duration = Duration::from_secs(1);

/// By which a client says where it was in a stream.
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const NOTHING_TO_RESUME: &str = "events here have no ids, so no stream can be resumed: open it without Last-Event-ID, and list \
    again";

/// Which request of the modern era a message belongs to.
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a caller may ask to hear of in the modern era, and of which list that is.
const FILTERS: [(&str, List); 3] = [
    ("toolsListChanged", List::Tools),
    ("promptsListChanged", List::Prompts),
    ("resourcesListChanged", List::Resources),
];

/// The resources that it asks to hear of there.
const SUBSCRIPTIONS: &str = "resourceSubscriptions";

/// Why a resource that was asked for is not told of, by its URI.
const UNTOLD: &str = "dev.stepup/not-subscribed";

/// A list of a caller's that may be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Tools,
    Prompts,
    /// Templates are listed with them.
    Resources,
}

impl List {
    const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    const fn notice(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
        }
    }

    /// As it is for a caller now.
    fn shown(self, gateway: &Shared, caller: &Caller, at: &Address) -> Shown {
        let upstreams = at.upstreams(gateway);
        let of = |kind| {
            let listed =
                upstreams.iter().flat_map(|upstream| gateway.authority.discover(caller, upstream, kind));
            Shown::Listed(listed.map(|(it, needs)| (it.id(), it.pin.digest, needs)).collect())
        };
        match self {
            Self::Tools => of(Kind::Tool),
            Self::Prompts => of(Kind::Prompt),
            // Which there are is asked of the upstream only for who lists them.
            Self::Resources => {
                let said = upstreams.iter().map(|upstream| gateway.upstreams.resource_changes(upstream));
                Shown::Told(said.collect(), gateway.authority.active().policy(), caller.groups.clone())
            }
        }
    }
}

/// What of a list tells it from another.
#[derive(PartialEq)]
enum Shown {
    /// Ids, definitions, and what using them may take.
    Listed(Vec<(String, DefinitionHash, Vec<String>)>),
    /// How often each upstream said that something has changed, the rules in force, and the groups that they are asked of.
    Told(Vec<Option<u64>>, PolicyHash, BTreeSet<String>),
}

/// Whose stream it is.
enum Of {
    /// That of a session, which has a place among the sessions.
    Session(Listening),
    /// That of one request, which keeps its place among those in flight.
    Request { id: Id, _place: Arc<Place> },
}

/// Where a stream is.
enum At {
    Start,
    Open,
    End,
}

struct Stream {
    gateway: Shared,
    address: Address,
    caller: CallerId,
    key: Digest,
    of: Of,
    /// The lists whose changes are told, as of the last look.
    lists: Vec<(List, Shown)>,
    /// The resources whose changes are told.
    watches: Watches,
    /// What is said of them at the beginning.
    subscribed: Subscribed,
    active: Arc<Active>,
    /// When something was last said.
    said: Boottime,
    at: At,
}

/// What became of the resources that a request asks to hear of.
#[derive(Default)]
struct Subscribed {
    /// Those that are told of, as they were named.
    told: Vec<Json>,
    /// Why others are not.
    untold: Object,
}

/// Opens the stream of a session; there is one.
pub(super) fn in_session(gateway: Shared, known: &Known, at: Address, headers: &HeaderMap) -> Response {
    let listening = || -> Result<Listening, Refusal> {
        if !takes(headers, "text/event-stream") {
            return Err(Slug::NotAcceptable.into());
        }
        let session = legacy::in_session(&gateway, known, &at, headers, None)?;
        if headers.contains_key(&LAST_EVENT) {
            // No event of ours has an id. To open a stream as if it went on would say that nothing was missed (T23, rfd 26).
            return Err(Refusal::because(Slug::RequestInvalid, NOTHING_TO_RESUME));
        }
        let taken = || Refusal::because(Slug::OverBudget, "this session has its stream already");
        session.listen().ok_or_else(taken)
    };
    match listening() {
        Ok(listening) => {
            let watches = listening.session().watches.clone();
            open(gateway, known, at, Of::Session(listening), &List::ALL, (watches, Subscribed::default()))
        }
        Err(refusal) => refusal.answer(Era::Legacy, None),
    }
}

/// `subscriptions/listen`: opens a stream of what is asked for and there is.
pub(super) async fn alone(
    gateway: Shared,
    known: &Known,
    at: Address,
    conversation: Conversation,
    request: &Request,
) -> Result<Response, Refusal> {
    only(&request.params, &["notifications"])?;
    let Some(Json::Object(kinds)) = request.params.get("notifications") else {
        return Err(Refusal::because(Slug::RequestInvalid, "there is no filter `notifications`"));
    };
    let [tools, prompts, resources] = FILTERS.map(|(name, _)| name);
    only(kinds, &[tools, prompts, resources, SUBSCRIPTIONS])?;
    let mut lists = Vec::new();
    for (name, list) in FILTERS {
        match kinds.get(name) {
            None | Some(Json::Bool(false)) => {}
            Some(Json::Bool(true)) => lists.push(list),
            Some(_) => {
                return Err(Refusal::because(Slug::RequestInvalid, format!("{name} is not true or false")));
            }
        }
    }
    let uris = uris(kinds.get(SUBSCRIPTIONS), gateway.settings.budgets.subscriptions)?;
    let subscribed = subscribe(&gateway, known, &at, conversation, uris).await;
    let of = Of::Request { id: request.id.clone(), _place: Arc::clone(&known.place) };
    Ok(open(gateway, known, at, of, &lists, subscribed))
}

/// The resources that are asked for, each once.
fn uris(asked: Option<&Json>, most: u32) -> Result<BTreeSet<String>, Refusal> {
    let wrong = |why: String| Refusal::because(Slug::RequestInvalid, format!("{SUBSCRIPTIONS} {why}"));
    let asked = match asked {
        None => return Ok(BTreeSet::new()),
        Some(Json::Array(uris)) => uris,
        Some(_) => return Err(wrong("is not an array".to_owned())),
    };
    let uris: Option<BTreeSet<String>> = asked.iter().map(|uri| Some(uri.as_str()?.to_owned())).collect();
    let uris = uris.ok_or_else(|| wrong("has what is no text".to_owned()))?;
    if u32::try_from(uris.len()).is_ok_and(|named| named > most) {
        Err(wrong(format!("names more than {most}")))
    } else {
        Ok(uris)
    }
}

/// Subscribes to each of these. What may not be told is left out, as what is not supported is (subscriptions,
/// "Acknowledgment"), and why is said beside.
async fn subscribe(
    gateway: &Shared,
    known: &Known,
    at: &Address,
    conversation: Conversation,
    uris: BTreeSet<String>,
) -> (Watches, Subscribed) {
    let (watches, mut subscribed) = (Watches::default(), Subscribed::default());
    for uri in uris {
        let named = Object::from_iter([("uri", uri.as_str())]);
        let asked = ask::would_ask(gateway, known, at, Action::Subscribe, named, Object::new()).await;
        let watching = match asked {
            Ok(ask) => watching::subscribe(gateway, ask, conversation).await,
            Err(refusal) => Err(Untold::Because(refusal.slug)),
        };
        match watching {
            Ok(watching) => {
                watches.keep(watching);
                subscribed.told.push(Json::from(uri));
            }
            Err(why) => {
                subscribed.untold.insert(uri, why.data(&gateway.settings));
            }
        }
    }
    (watches, subscribed)
}

fn open(
    gateway: Shared,
    known: &Known,
    at: Address,
    of: Of,
    lists: &[List],
    (watches, subscribed): (Watches, Subscribed),
) -> Response {
    let there = |list: &&List| match (&at, list) {
        (_, List::Tools) | (Address::All, List::Prompts | List::Resources) => true,
        (Address::One(upstream), List::Prompts) => gateway.upstreams.has(upstream).prompts,
        (Address::One(upstream), List::Resources) => gateway.upstreams.has(upstream).resources,
    };
    let shown = |list: &List| (*list, list.shown(&gateway, &known.caller, &at));
    let lists = lists.iter().filter(there).map(shown).collect();
    let active = gateway.authority.active();
    let said = gateway.authority.ambient().boottime();
    let (caller, key) = (known.caller.id, known.key);
    let stream = Stream {
        gateway,
        address: at,
        caller,
        key,
        of,
        lists,
        watches,
        subscribed,
        active,
        said,
        at: At::Start,
    };
    events(futures_util::stream::unfold(stream, |mut stream| async move {
        let text = stream.next().await?;
        Some((text, stream))
    }))
}

impl Stream {
    /// What is said next; `None` at the end: of the session, of the caller's key, or of this node.
    async fn next(&mut self) -> Option<String> {
        match self.at {
            At::Start => {
                self.at = At::Open;
                return Some(self.opening());
            }
            At::Open => {}
            At::End => return None,
        }
        let mut drained = self.gateway.drained();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = drained.wait_for(|drained| *drained) => {
                    self.at = At::End;
                    return self.closing();
                }
            }
            let caller = self.gateway.authority.authenticate(self.key).ok()?;
            if let Of::Session(listening) = &self.of {
                let session = &listening.session().id;
                self.gateway.sessions.find(session, self.caller, &self.address).ok()?;
            }
            let now = self.gateway.authority.ambient().boottime();
            let changed = self.changed(&caller);
            let updates = self.watches.updates(&self.gateway, &self.address).await;
            let over = match &self.of {
                Of::Session(listening) => listening.session().completions.told(),
                Of::Request { .. } => Vec::new(),
            };
            let text = if !changed.is_empty() || !updates.is_empty() || !over.is_empty() {
                let lists = changed.into_iter().map(|list| self.notice(list.notice(), Object::new()));
                let updates = updates.into_iter().map(|uri| self.updated(uri));
                let over = over.into_iter().map(|id| message(&completed(&id).text()));
                lists.chain(updates).chain(over).collect()
            } else if now.since(self.said) >= self.gateway.settings.keep_alive {
                STILL_HERE.to_owned()
            } else {
                continue;
            };
            self.said = now;
            return Some(text);
        }
    }

    /// So that the client has the headers at once; and who asked for something is told what of it there is.
    fn opening(&mut self) -> String {
        match &self.of {
            Of::Session(_) => OPEN.to_owned(),
            Of::Request { .. } => {
                let tells = |list: List| self.lists.iter().any(|(told, _)| *told == list);
                let told = FILTERS.into_iter().filter(|(_, list)| tells(*list));
                let mut told = Object::from_iter(told.map(|(name, _)| (name, Json::from(true))));
                let Subscribed { told: uris, untold } = std::mem::take(&mut self.subscribed);
                if !uris.is_empty() {
                    told.insert(SUBSCRIPTIONS, Json::Array(uris));
                }
                let mut params = Object::new();
                if !untold.is_empty() {
                    params.insert("_meta", Json::object([(UNTOLD, Json::Object(untold))]));
                }
                params.insert("notifications", Json::Object(told));
                self.notice("notifications/subscriptions/acknowledged", params)
            }
        }
    }

    /// The answer to who asked, at an end that is no failure ("Graceful Closure").
    fn closing(&self) -> Option<String> {
        match &self.of {
            Of::Session(_) => None,
            Of::Request { id, .. } => {
                let result = Json::object([("_meta", Json::object([(SUBSCRIPTION, id.json())]))]).text();
                Some(message(&answer::told(id, "result", &result::complete(Era::Modern, &result))))
            }
        }
    }

    /// That a resource has changed.
    fn updated(&self, uri: String) -> String {
        self.notice("notifications/resources/updated", Object::from_iter([("uri", uri)]))
    }

    fn notice(&self, method: &str, mut params: Object) -> String {
        let mut notice = Object::new();
        notice.insert("jsonrpc", "2.0");
        notice.insert("method", method);
        if let Of::Request { id, .. } = &self.of {
            let mut meta = match params.remove("_meta") {
                Some(Json::Object(meta)) => meta,
                Some(_) | None => Object::new(),
            };
            meta.insert(SUBSCRIPTION, id.json());
            params.insert("_meta", Json::Object(meta));
        }
        if !params.is_empty() {
            notice.insert("params", params);
        }
        message(&Json::Object(notice).text())
    }

    /// Which lists of this caller's are other ones than at the last look.
    fn changed(&mut self, caller: &Caller) -> Vec<List> {
        let active = self.gateway.authority.active();
        let same = Arc::ptr_eq(&active, &self.active);
        self.active = active;
        let Self { gateway, address, lists, .. } = self;
        let changed = lists.iter_mut().filter_map(|(list, shown)| {
            // What is pinned is as it was while all that this node knows is.
            if same && *list != List::Resources {
                return None;
            }
            let now = list.shown(gateway, caller, address);
            (std::mem::replace(shown, now) != *shown).then_some(*list)
        });
        changed.collect()
    }
}
