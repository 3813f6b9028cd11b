//! Tells people outside of the console: of new requests, of how they ended, of one more passkey. From the store's outbox,
//! at least once, patiently, and with no effect on any decision.
//!
//! An event becomes notifications, one for each channel and recipient, in one write; each of those is then delivered, or
//! tried for a day and given up with a record. What follows a notification waits until that one arrived or was given up.

mod address;
mod event;
mod mail;
mod pace;
mod route;
mod sign;
mod smtp;
mod webhook;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use authority::{Authority, Failed, Notice};
use futures_util::future::{join, join_all};
use terms::{Json, Millis, json};
use tokio::sync::watch;

use event::{Event, What};
use mail::Mail;
use pace::Pace;
use route::Office;

pub use address::{Address, Mailbox, NotAnAddress};
pub use route::{DESKTOP, Group, Routes};
pub use sign::{Key, NotAKey, signature};
pub use smtp::{Login, NotTrusted, Server, Tls};
pub use webhook::Webhook;
pub use words::Text;
pub(crate) use words::{Popup, Whom, popup};

/// Over which channels people are told, and who over which.
#[derive(Debug)]
pub struct Settings {
    /// The channels by name.
    pub channels: BTreeMap<String, Channel>,
    /// Who over which.
    pub routes: Routes,
    /// How often the outbox is looked into when nothing changes.
    pub look: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { channels: BTreeMap::new(), routes: Routes::default(), look: Duration::from_secs(5) }
    }
}

/// One channel.
#[derive(Debug)]
pub struct Channel {
    /// What carries it.
    pub carrier: Carrier,
    /// How much is told over it.
    pub text: Text,
    /// How long one delivery may take.
    pub patience: Duration,
}

/// What carries notifications.
#[derive(Debug)]
pub enum Carrier {
    /// A webhook.
    Webhook(Box<Webhook>),
    /// Mail.
    Mail(Box<Mailer>),
}

/// A mail server, and from whom mail comes.
#[derive(Debug)]
pub struct Mailer {
    /// The server.
    pub server: Server,
    /// From whom.
    pub from: Mailbox,
}

/// After each try that failed, how long until the next. After the last one the notification is given up.
const BACK_OFF: [Millis; 14] = [
    Millis::seconds(5),
    Millis::seconds(20),
    Millis::seconds(60),
    Millis::seconds(3 * 60),
    Millis::seconds(10 * 60),
    Millis::seconds(30 * 60),
    Millis::seconds(3600),
    Millis::seconds(2 * 3600),
    Millis::seconds(3 * 3600),
    Millis::seconds(3 * 3600),
    Millis::seconds(3 * 3600),
    Millis::seconds(4 * 3600),
    Millis::seconds(4 * 3600),
    Millis::seconds(3 * 3600),
];

/// Events of one look.
const EVENTS: u32 = 64;

/// Notifications that one channel delivers at a time.
const AT_ONCE: u32 = 4;

/// Tells for as long as it is polled.
pub async fn run(authority: Arc<Authority>, settings: Settings) {
    let spread = watch::Sender::new(());
    let mut channels = Vec::new();
    for (name, channel) in &settings.channels {
        channels.push(deliver_all(&authority, name, channel, (settings.look, spread.subscribe())));
    }
    join(give_out(&authority, &settings, &spread), join_all(channels)).await;
}

/// Waits until there is something, or it is time to look; `false` once there can be nothing any more.
async fn waited<T>(look: Duration, changes: &mut watch::Receiver<T>) -> bool {
    !matches!(tokio::time::timeout(look, changes.changed()).await, Ok(Err(_)))
}

/// Turns events into notifications.
async fn give_out(authority: &Authority, settings: &Settings, spread: &watch::Sender<()>) {
    let mut events = authority.events();
    let mut pace = Pace::default();
    if let Err(failed) = give_up_strays(authority, settings).await {
        tracing::error!(%failed, "what waits for a channel that is not there any more waits on");
    }
    loop {
        match spread_all(authority, settings, &mut pace).await {
            Ok(0) => {}
            Ok(_) => spread.send_replace(()),
            Err(failed) => tracing::error!(%failed, "people are not told"),
        }
        if !waited(settings.look, &mut events).await {
            return;
        }
    }
}

/// What waits for a channel that was taken out of the configuration is told nobody.
async fn give_up_strays(authority: &Authority, settings: &Settings) -> Result<(), Failed> {
    loop {
        let known = settings.channels.keys().cloned().collect();
        let strays = authority.store().strays(known, EVENTS).await?;
        if strays.is_empty() {
            return Ok(());
        }
        for notice in &strays {
            authority.give_up(notice, "its channel is not configured any more").await?;
        }
    }
}

async fn spread_all(authority: &Authority, settings: &Settings, pace: &mut Pace) -> Result<usize, Failed> {
    let store = authority.store();
    let events = store.outbox(String::new(), EVENTS).await?;
    let page = page(authority);
    for notice in &events {
        let event = Event::of(&notice.kind, &notice.body);
        let held = pace.held(event.as_ref());
        let office = Office { channels: &settings.channels, routes: &settings.routes, page: &page, held };
        let thread = event.as_ref().and_then(Event::elevation).map(|id| id.to_string()).unwrap_or_default();
        let over = event.as_ref().filter(|event| event.is_over()).map(|_| thread.clone());
        let letters = match &event {
            Some(event) if event.what == What::Passkey => office.passkey(event),
            Some(event) if event.is_over() => office.over(event, &store.told(thread).await?),
            Some(event) => match event.elevation() {
                Some(id) => office.opened(event, &authority.concerned(id).await?.unwrap_or_default()),
                None => Vec::new(),
            },
            None => Vec::new(),
        };
        if letters.is_empty() && !settings.channels.is_empty() && over.is_none() {
            tracing::warn!(kind = %notice.kind, "nobody is told: no channel or address is for those whom it concerns");
        }
        store.spread(notice.id, letters, over).await?;
    }
    let lost = store.backlog().await?.made_room;
    if lost > 0 {
        authority.made_room(lost).await?;
    }
    Ok(events.len())
}

/// The address of the console.
fn page(authority: &Authority) -> String {
    authority.settings().relying_party.origins.first().cloned().unwrap_or_default()
}

/// Delivers what goes over one channel: one that is slow or gone keeps no other waiting.
async fn deliver_all(
    authority: &Authority,
    name: &str,
    channel: &Channel,
    (every, mut spread): (Duration, watch::Receiver<()>),
) {
    loop {
        match look(authority, name, channel).await {
            Ok(more) if more => continue,
            Ok(_) => {}
            Err(failed) => tracing::error!(%failed, channel = name, "the outbox cannot be read or written"),
        }
        if !waited(every, &mut spread).await {
            return;
        }
    }
}

/// Delivers a few; answers whether there may be more.
async fn look(authority: &Authority, name: &str, channel: &Channel) -> Result<bool, Failed> {
    let due = authority.store().outbox(name.to_owned(), AT_ONCE).await?;
    let tried = due.iter().map(|notice| async move {
        let delivered = tokio::time::timeout(channel.patience, deliver(authority, channel, notice)).await;
        let delivered = delivered.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        settle(authority, name, notice, delivered).await
    });
    for settled in join_all(tried).await {
        settled?;
    }
    Ok(u32::try_from(due.len()).is_ok_and(|count| count == AT_ONCE))
}

/// Marks what was delivered; what was not is tried again, or given up.
async fn settle(
    authority: &Authority,
    channel: &str,
    notice: &Notice,
    delivered: Result<(), String>,
) -> Result<(), Failed> {
    let (id, kind) = (notice.id, &notice.kind);
    let Err(because) = delivered else { return authority.store().notified(id, None).await };
    let wait = usize::try_from(notice.tries).ok().and_then(|tries| BACK_OFF.get(tries));
    if let Some(wait) = wait {
        tracing::warn!(id, %kind, channel, because, "a notification was not taken");
        return authority.store().notified(id, Some(authority.now().after(*wait))).await;
    }
    tracing::error!(id, %kind, channel, because, "a notification is given up after a day");
    authority.give_up(notice, &because).await
}

async fn deliver(authority: &Authority, channel: &Channel, notice: &Notice) -> Result<(), String> {
    match &channel.carrier {
        Carrier::Webhook(webhook) => {
            let id = format!("msg_{}_{}", authority.active().install(), notice.id);
            webhook.post(&id, authority.now().millis().div_euclid(1000), &notice.body).await
        }
        Carrier::Mail(mailer) => {
            let mail = mail_of(mailer, notice).ok_or("what waits is no mail")?;
            let sent = mailer.server.send(mailer.from.address(), &mail.to, &mail.octets()).await;
            sent.map_err(|trouble| trouble.to_string())
        }
    }
}

/// A mail that waits.
fn mail_of(mailer: &Mailer, notice: &Notice) -> Option<Mail> {
    let body = json::parse(notice.body.as_bytes()).ok()?;
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
    Some(Mail {
        from: mailer.from.clone(),
        to: notice.way.recipient.parse().ok()?,
        subject: text("subject")?,
        text: text("text")?,
        id: text("id")?,
        follows: text("follows"),
        at: notice.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_given_up_after_about_a_day() {
        let all: u64 = BACK_OFF.iter().map(|wait| wait.get()).sum();
        assert!((23 * 3_600_000..26 * 3_600_000).contains(&all), "{all}");
    }
}
