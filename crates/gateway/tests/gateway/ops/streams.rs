//! The streams on which an upstream speaks unasked: that of a session, and those of the modern era.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};

use super::Seen;

fn response(events: impl Stream<Item = Value> + Send + 'static) -> Response {
    let events = events.map(|message| Ok::<_, Infallible>(format!("data: {message}\n\n")));
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

/// In a session: one notification, or request, each time it is told to.
pub(super) fn unasked(seen: Arc<Seen>) -> Response {
    let told = seen.told.subscribe();
    response(futures_util::stream::unfold((seen, told), |(seen, mut told)| async move {
        let message = tokio::select! {
            changed = seen.changed.acquire() => {
                changed.unwrap().forget();
                json!({"jsonrpc": "2.0", "method": format!("notifications/{}/list_changed", seen.announced.lock().unwrap())})
            }
            said = told.recv() => {
                let (what, params) = said.unwrap()?;
                match what {
                    // Something that it asks.
                    "" => params,
                    _ => json!({"jsonrpc": "2.0", "method": format!("notifications/{what}"), "params": params}),
                }
            }
        };
        Some((message, (seen, told)))
    }))
}

/// In the modern era: what is subscribed to, as far as it tells of that, under the id of the request.
pub(super) async fn subscribed(seen: Arc<Seen>, id: Value, filter: &Value) -> Response {
    let uris = filter["resourceSubscriptions"].as_array().cloned().unwrap_or_default();
    let asked = uris.iter().map(|uri| ("subscriptions/listen".to_owned(), json!({"uri": uri})));
    seen.asked.lock().unwrap().extend(asked);
    if uris.iter().any(|uri| uri == "file:///docs/slow") {
        seen.go.acquire().await.unwrap().forget();
    }
    let told: Vec<Value> = uris.into_iter().filter(|uri| uri != "file:///docs/none").collect();
    let notice = {
        let id = id.clone();
        move |method: &str, mut params: Value| {
            params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": id});
            json!({"jsonrpc": "2.0", "method": format!("notifications/{method}"), "params": params})
        }
    };
    let honoured = json!({"notifications": {"resourceSubscriptions": told}});
    let begun = notice("subscriptions/acknowledged", honoured);
    let updated = seen.told.subscribe();
    let state = (Some(begun), updated, false);
    response(futures_util::stream::unfold(state, move |(begun, mut updated, over)| {
        let (told, notice, id) = (told.clone(), notice.clone(), id.clone());
        async move {
            if over {
                return None;
            }
            if let Some(begun) = begun {
                return Some((begun, (None, updated, false)));
            }
            loop {
                match updated.recv().await.unwrap() {
                    Some((what, params)) if told.contains(&params["uri"]) => {
                        return Some((notice(what, params), (None, updated, false)));
                    }
                    Some(_) => {}
                    None => {
                        let end = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete"}});
                        return Some((end, (None, updated, true)));
                    }
                }
            }
        }
    }))
}
