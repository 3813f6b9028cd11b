//! What a person's browser tells them outside of the page: what waits for them or is asked for by what is theirs, and how
//! what it told of ended. It only reads; whether anything pops up is between the person and their browser.

use std::collections::BTreeMap;

use authority::{Listing, Whole, asked_groups};
use axum::extract::State;
use axum::response::Response;
use elevation::State as Stands;
use http::StatusCode;
use terms::card::Card;
use terms::{Json, Millis};

use crate::answer::{NoPage, json};
use crate::notify::{Popup, Whom, popup};
use crate::person::Person;
use crate::router::{Console, Shared};

/// For how long it is said how a request ended, and of how many of the newest.
const OVER: Millis = Millis::seconds(600);
const NEWEST: u32 = 50;

pub(crate) async fn told(State(console): State<Shared>, person: Person) -> Result<Response, NoPage> {
    let authority = &console.authority;
    let mut waiting = Vec::new();
    for (whole, shown) in authority.inbox(person.human.id).await? {
        let whom = whom(&console, &person, &whole, shown.can.is_ok());
        waiting.extend(whom.and_then(|whom| one(&console, &whole, Some(&shown.card), whom)));
    }
    let since = authority.now().before(OVER);
    let newest = Listing { limit: NEWEST, ..Listing::default() };
    let mut over = Vec::new();
    for whole in authority.store().elevations(newest).await? {
        let lately = whole.state != Stands::Pending && whole.concluded_at.is_some_and(|at| at >= since);
        if lately && authority.show(&whole, person.human.id).await?.is_some() {
            over.extend(one(&console, &whole, None, Whom::Approver));
        }
    }
    let both = [("waiting", Json::Array(waiting)), ("over", Json::Array(over))];
    Ok(json(StatusCode::OK, &Json::object(both)))
}

/// As whom a person is told of a request that waits, if they are.
fn whom(console: &Console, person: &Person, whole: &Whole, signs: bool) -> Option<Whom> {
    let owner = console.authority.owner_of(whole) == Some(person.human.root);
    let whom = match (signs, owner) {
        (true, true) => Whom::Confirmer,
        (true, false) => Whom::Approver,
        (false, true) => Whom::Owner,
        (false, false) => return None,
    };
    let parts: BTreeMap<_, _> = asked_groups(&whole.request.requirement);
    console.settings.routes.on_desktop(&parts, owner).then_some(whom)
}

fn one(console: &Console, whole: &Whole, card: Option<&Card>, whom: Whom) -> Option<Json> {
    let (kind, body) = console.authority.event_of(whole, card);
    let Popup { title, text } = popup(&kind, &body, whom, console.settings.desktop)?;
    let id = Json::from(whole.request.id);
    Some(Json::object([("id", id), ("title", Json::from(title)), ("text", Json::from(text))]))
}
