//! What sets the modern era apart (MCP 2026-07-28): a request says of itself all that a session said once, and an answer
//! may be one round of several. How it travels is for the transports.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use terms::json::Object;
use terms::{Abilities, Json, Revision};

use crate::answer::{Answer, RawJson};
use crate::errand::Has;
use crate::message::RequestId;
use crate::raw;

/// The headers and the body of a request of ours differ (basic/index, "Error Codes").
pub(crate) const HEADER_MISMATCH: i64 = -32020;
/// The call takes a capability that we do not declare.
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
/// The revision of the request is not spoken.
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;

/// What is subscribed by.
pub(crate) const LISTEN: &str = "subscriptions/listen";

/// What may be asked in one round, and bytes of the state that comes back with its answers.
const MOST_INPUTS: usize = 64;
const LONGEST_STATE: usize = 64 << 10;

/// Who we are, as an upstream of either era is told it.
pub(crate) fn client_info() -> Json {
    Json::object([("name", Json::from("stepup")), ("version", Json::from(env!("CARGO_PKG_VERSION")))])
}

/// Writes what every request has to say of itself into its `_meta` (basic/index, "_meta"). It is ours, whatever a caller
/// had there (decisions B27): our revision, ourselves, and what of all that a server may ask is passed on.
pub(crate) fn envelope(meta: &mut Object, abilities: Abilities) {
    meta.insert("io.modelcontextprotocol/protocolVersion", Revision::NEWEST_MODERN.name());
    meta.insert("io.modelcontextprotocol/clientCapabilities", Json::Object(abilities.capabilities()));
    meta.insert("io.modelcontextprotocol/clientInfo", client_info());
}

/// Whether only a server of the modern era says no in this way.
pub(crate) const fn is_refusal(code: i64) -> bool {
    matches!(code, HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION)
}

/// What `server/discover` is answered with.
#[derive(Debug)]
pub(crate) struct Discovered {
    /// The revisions that it speaks.
    pub(crate) versions: Vec<String>,
    pub(crate) has: Has,
    /// Whether it tells those who listen that a list of its has changed.
    pub(crate) changes: bool,
}

/// Reads the answer to `server/discover`; `None` for anything else.
pub(crate) fn discovered(result: &RawJson) -> Option<Discovered> {
    #[derive(Deserialize)]
    struct Lists {
        #[serde(rename = "listChanged", default)]
        list_changed: bool,
        #[serde(default)]
        subscribe: bool,
    }
    #[derive(Deserialize)]
    struct Capabilities {
        tools: Option<Lists>,
        prompts: Option<Lists>,
        resources: Option<Lists>,
        completions: Option<IgnoredAny>,
        logging: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct DiscoverResult {
        #[serde(rename = "supportedVersions")]
        versions: Vec<String>,
        capabilities: Capabilities,
    }
    let DiscoverResult { versions, capabilities } = serde_json::from_str(result.text()).ok()?;
    let Capabilities { tools, prompts, resources, completions, logging } = capabilities;
    let changes = [&tools, &prompts, &resources].into_iter().flatten().any(|lists| lists.list_changed);
    let subscribe = resources.as_ref().is_some_and(|resources| resources.subscribe);
    let has = Has {
        tools: tools.is_some(),
        prompts: prompts.is_some(),
        resources: resources.is_some(),
        completions: completions.is_some(),
        logging: logging.is_some(),
        subscribe,
    };
    Some(Discovered { versions, has, changes })
}

/// The revisions that an upstream names in saying that it does not speak ours.
pub(crate) fn supported(data: Option<&RawJson>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Data {
        supported: Vec<String>,
    }
    let data = data.and_then(|data| serde_json::from_str::<Data>(data.text()).ok());
    data.map(|data| data.supported).unwrap_or_default()
}

/// The code of an error that is said to no request in particular, where only the modern era has it (streamable HTTP,
/// "Sending Messages": an error may have no id).
pub(crate) fn refusal(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Coded {
        code: i64,
    }
    #[derive(Deserialize)]
    struct Refusal {
        id: Option<serde_json::Value>,
        error: Coded,
    }
    let Refusal { id, error: Coded { code } } = serde_json::from_slice(body).ok()?;
    (id.is_none() && is_refusal(code)).then_some(code)
}

/// What kind of result it is (basic/index, "ResultType"); `None` where that is not said in a text.
pub(crate) fn result(result: &RawValue, complete: impl FnOnce() -> Option<Answer>) -> Option<Answer> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "resultType")]
        kind: Option<String>,
    }
    let Typed { kind } = serde_json::from_str(result.get()).ok()?;
    match kind.as_deref() {
        None | Some("complete") => complete(),
        Some("input_required") => input_required(result),
        // A task among them: we declare no extension.
        Some(_) => None,
    }
}

/// Reads an `InputRequiredResult` (basic/patterns/mrtr).
fn input_required(result: &RawValue) -> Option<Answer> {
    #[derive(Deserialize)]
    struct InputRequired<'t> {
        #[serde(rename = "inputRequests", borrow)]
        requests: Option<&'t RawValue>,
        #[serde(rename = "requestState", borrow)]
        state: Option<&'t RawValue>,
    }
    let InputRequired { requests, state } = serde_json::from_str(result.get()).ok()?;
    let is_text = |state: &RawValue| {
        state.get().len() <= LONGEST_STATE && serde_json::from_str::<String>(state.get()).is_ok()
    };
    if requests.is_none() && state.is_none() || !state.is_none_or(is_text) {
        return None;
    }
    let state = state.map(|state| RawJson::of(state.get())).transpose().ok()?;
    let mut takes = Abilities::default();
    let requests = match requests {
        None => None,
        Some(requests) => {
            // Read whole before it is looked into, so that what is too deep is not.
            let requests = RawJson::of(requests.get()).ok()?;
            let inputs = raw::members(requests.text())?;
            let mut names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let each_once = names.len() == inputs.len();
            if !each_once || inputs.len() > MOST_INPUTS {
                return None;
            }
            for (_, input) in &inputs {
                takes = takes.or(taken(input)?);
            }
            Some(requests)
        }
    };
    Some(Answer::InputRequired { requests, state, takes })
}

/// What one request takes of a client (basic/patterns/mrtr, "InputRequests"); `None` for one that may not be there.
fn taken(input: &RawValue) -> Option<Abilities> {
    #[derive(Default, Deserialize)]
    struct Params {
        mode: Option<String>,
    }
    #[derive(Deserialize)]
    struct Input {
        method: String,
        #[serde(default)]
        params: Params,
    }
    let Input { method, params: Params { mode } } = serde_json::from_str(input.get()).ok()?;
    Abilities::taken(&method, mode.as_deref())
}

/// What we listen for: that a list has changed (basic/patterns/subscriptions). Of what it does not tell, the upstream says
/// so when it acknowledges.
pub(crate) fn listening() -> Object {
    let lists = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];
    let wanted = Json::object(lists.map(|list| (list, Json::from(true))));
    Object::from_iter([("notifications", wanted)])
}

/// The same of one resource.
pub(crate) fn watching(uri: &str) -> Object {
    let wanted = Json::object([("resourceSubscriptions", vec![uri])]);
    Object::from_iter([("notifications", wanted)])
}

/// The resources that an upstream acknowledges to tell of.
pub(crate) fn acknowledged(params: Option<&RawValue>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Filter {
        #[serde(rename = "resourceSubscriptions", default)]
        resources: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Params {
        notifications: Filter,
    }
    let params = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok());
    params.map(|params| params.notifications.resources).unwrap_or_default()
}

/// The subscription that a notification belongs to.
pub(crate) fn subscription(params: Option<&RawValue>) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "io.modelcontextprotocol/subscriptionId")]
        id: String,
    }
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "_meta")]
        meta: Meta,
    }
    let Params { meta: Meta { id } } = serde_json::from_str(params?.get()).ok()?;
    Some(RequestId::named(id))
}
