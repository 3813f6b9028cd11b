//! One table of all addresses: who may come, and what answers. Whoever is not signed in sees none of a person's.

use std::sync::Arc;

use authority::Authority;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use tokio::sync::Semaphore;

use crate::settings::Settings;
use crate::throttle::Throttle;
use crate::{assets, door, pages, person};

/// What every page shares.
pub(crate) struct Console {
    pub(crate) authority: Arc<Authority>,
    pub(crate) settings: Settings,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) strangers: Throttle,
}

pub(crate) type Shared = Arc<Console>;

/// Who an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anyone who reaches the listener.
    Anyone,
    /// People who are signed in.
    Person,
}

struct Route {
    method: &'static str,
    path: &'static str,
    who: Who,
    answers: MethodRouter<Shared>,
}

/// Every address: method, path, and who it is for.
#[must_use]
pub fn routes() -> Vec<(&'static str, &'static str, Who)> {
    table().into_iter().map(|route| (route.method, route.path, route.who)).collect()
}

fn table() -> Vec<Route> {
    use Who::{Anyone, Person};
    let reads = |who, path, answers| Route { method: "GET", path, who, answers };
    let posts = |path, answers| Route { method: "POST", path, who: Person, answers };
    let strangers = |path, answers| Route { method: "POST", path, who: Anyone, answers };
    vec![
        reads(Anyone, "/assets/{hash}/{name}", get(assets::serve)),
        reads(Anyone, "/sign-in", get(pages::door::sign_in_page)),
        strangers("/sign-in/ceremony", post(pages::door::begin_sign_in)),
        strangers("/sign-in", post(pages::door::sign_in)),
        reads(Anyone, "/enrol/{token}", get(pages::door::enrol_page)),
        strangers("/enrol/{token}/ceremony", post(pages::door::begin_enrol)),
        strangers("/enrol/{token}", post(pages::door::enrol)),
        reads(Person, "/", get(pages::inbox::inbox)),
        reads(Person, "/history", get(pages::inbox::history)),
        reads(Person, "/events", get(pages::events::follow)),
        reads(Person, "/told", get(pages::told::told)),
        reads(Person, "/r/{id}", get(pages::request::page)),
        reads(Person, "/r/{id}/why", get(pages::explain::request)),
        posts("/r/{id}/ceremony", post(pages::request::begin)),
        posts("/r/{id}/vote", post(pages::request::vote)),
        posts("/r/{id}/reject", post(pages::request::reject)),
        posts("/r/{id}/withdraw", post(pages::request::withdraw)),
        posts("/r/{id}/revoke", post(pages::request::revoke)),
        posts("/attempts/{id}/ceremony", post(pages::request::begin_resolve)),
        posts("/attempts/{id}/resolve", post(pages::request::resolve)),
        reads(Person, "/callers", get(pages::callers::callers)),
        reads(Person, "/callers/{id}", get(pages::callers::caller)),
        posts("/callers/{id}/lock", post(pages::callers::lock)),
        posts("/callers/{id}/revoke", post(pages::callers::revoke)),
        reads(Person, "/locks", get(pages::locks::locks)),
        posts("/locks", post(pages::locks::lock)),
        posts("/locks/{id}/ceremony", post(pages::locks::begin_unlock)),
        posts("/locks/{id}/unlock", post(pages::locks::unlock)),
        reads(Person, "/tools", get(pages::tools::tools)),
        reads(Person, "/tools/{pin}", get(pages::tools::tool)),
        posts("/tools/{pin}/ceremony", post(pages::tools::begin_accept)),
        posts("/tools/{pin}/accept", post(pages::tools::accept)),
        posts("/tools/{pin}/refuse", post(pages::tools::refuse)),
        reads(Person, "/policies", get(pages::policies::policies)),
        reads(Person, "/explain", get(pages::explain::explain)),
        reads(Person, "/log", get(pages::log::log)),
        reads(Person, "/log/{id}", get(pages::log::record)),
        reads(Person, "/log/{id}/why", get(pages::explain::record)),
        reads(Person, "/me", get(pages::me::me)),
        posts("/me/passkeys/ceremony", post(pages::me::begin_passkey)),
        posts("/me/passkeys/made", post(pages::me::passkey_made)),
        posts("/me/passkeys", post(pages::me::add_passkey)),
        posts("/me/passkeys/revoke", post(pages::me::revoke_passkey)),
        posts("/me/sign-out", post(pages::me::sign_out)),
        posts("/me/sign-out-everywhere", post(pages::me::sign_out_everywhere)),
    ]
}

/// The people's listener.
pub fn router(authority: Arc<Authority>, settings: Settings) -> Router {
    let followers = Arc::new(Semaphore::new(settings.followers));
    let console = Arc::new(Console { authority, settings, followers, strangers: Throttle::default() });
    let signed_in = from_fn_with_state(Arc::clone(&console), person::signed_in);
    let mut anyones = Router::new();
    let mut persons = Router::new().fallback(|| async { crate::answer::nothing() });
    for route in table() {
        match route.who {
            Who::Anyone => anyones = anyones.route(route.path, route.answers),
            Who::Person => persons = persons.route(route.path, route.answers),
        }
    }
    // The fallback is for people who are signed in too: a stranger cannot tell an address from none.
    let persons = persons.layer(signed_in);
    anyones
        .merge(persons)
        .layer(from_fn(only_known_methods))
        .layer(from_fn_with_state(Arc::clone(&console), door::guard))
        .layer(from_fn_with_state(Arc::clone(&console), door::headers))
        .with_state(console)
}

/// Nothing but reading and posting reaches a route.
async fn only_known_methods(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    use http::Method;
    match *request.method() {
        Method::GET | Method::HEAD | Method::POST => next.run(request).await,
        _ => crate::answer::refusal(
            http::StatusCode::METHOD_NOT_ALLOWED,
            terms::Slug::MethodNotAllowed.row().happened,
        ),
    }
}
