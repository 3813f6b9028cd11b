//! To whom an event goes, and over which channels: a table, and no I/O.

use std::collections::{BTreeMap, BTreeSet};

use authority::{Concerned, Letter, Person, WasTold, Way};
use terms::{Json, Millis};

use super::address::Address;
use super::event::{Event, What};
use super::mail;
use super::words::{Said, Whom};
use super::{Carrier, Channel, Mailer};

/// The channel that is a person's own browser, with the console open in it.
pub const DESKTOP: &str = "desktop";

/// Who is told over which channels. Where nothing is said of somebody, over every one that there is.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// By the group that is asked.
    pub groups: BTreeMap<String, Group>,
    /// By the requirement that asks; this counts where both say something.
    pub requirements: BTreeMap<String, BTreeSet<String>>,
    /// Over which those are told who own a caller, or a passkey.
    pub owners: Option<BTreeSet<String>>,
    /// Where people get their mail, by name.
    pub people: BTreeMap<String, Address>,
}

/// How those are told who are asked as one group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Over which channels.
    pub channels: Option<BTreeSet<String>>,
    /// Mailboxes beside those of its members.
    pub to: BTreeSet<Address>,
}

impl Routes {
    /// Whether those whom a part of a requirement asks as a group are told over a channel.
    fn asks(&self, channel: &str, part: &str, group: Option<&str>) -> bool {
        let of_group = || self.groups.get(group?)?.channels.as_ref();
        let named = self.requirements.get(part).or_else(of_group);
        named.is_none_or(|named| named.contains(channel))
    }

    /// Whether owners are told over a channel.
    fn owners(&self, channel: &str) -> bool {
        self.owners.as_ref().is_none_or(|named| named.contains(channel))
    }

    fn address(&self, person: &Person) -> Option<&Address> {
        person.names.iter().find_map(|name| self.people.get(name))
    }

    /// Whether anybody is told of a request over a channel that goes to a place and not to people.
    fn anybody(&self, channel: &str, parts: &BTreeMap<String, BTreeSet<String>>) -> bool {
        let groups =
            |groups: &BTreeSet<String>| groups.iter().map(|group| Some(group.clone())).collect::<Vec<_>>();
        parts.iter().any(|(part, of)| {
            let of = if of.is_empty() { vec![None] } else { groups(of) };
            of.iter().any(|group| self.asks(channel, part, group.as_deref()))
        })
    }

    /// Who gets mail of a new request, and as whom.
    fn mailboxes(&self, channel: &str, concerned: &Concerned) -> BTreeMap<Address, Whom> {
        let mut all = BTreeMap::new();
        for (part, groups) in &concerned.parts {
            for group in groups.iter().filter(|group| self.asks(channel, part, Some(group))) {
                let members = concerned.approvers.iter().filter(|person| person.groups.contains(group));
                let members = members.filter_map(|person| self.address(person));
                let shared = self.groups.get(group).into_iter().flat_map(|group| &group.to);
                all.extend(members.chain(shared).map(|address| (address.clone(), Whom::Approver)));
            }
        }
        let owner = concerned.owner.as_ref().filter(|_| self.owners(channel));
        if let Some(address) = owner.and_then(|owner| self.address(owner)) {
            // One who reads a mailbox that approvers share is told there.
            let whom = if concerned.confirms { Whom::Confirmer } else { Whom::Owner };
            all.entry(address.clone()).or_insert(whom);
        }
        all
    }

    /// Whether a request is told on the desktop of those who could sign it, or of who owns its caller.
    pub(crate) fn on_desktop(&self, parts: &BTreeMap<String, BTreeSet<String>>, owns: bool) -> bool {
        if owns { self.owners(DESKTOP) } else { self.anybody(DESKTOP, parts) }
    }
}

/// What makes notifications of an event.
pub(super) struct Office<'a> {
    pub(super) channels: &'a BTreeMap<String, Channel>,
    pub(super) routes: &'a Routes,
    /// The address of the console.
    pub(super) page: &'a str,
    /// How long mail of this event is held back.
    pub(super) held: Millis,
}

impl Office<'_> {
    /// The notifications of a new request.
    pub(super) fn opened(&self, event: &Event, concerned: &Concerned) -> Vec<Letter> {
        let mut letters = Vec::new();
        for (name, channel) in self.channels {
            match &channel.carrier {
                Carrier::Webhook(_) if self.routes.anybody(name, &concerned.parts) => {
                    letters.push(self.posted(event, name, channel));
                }
                Carrier::Webhook(_) => {}
                Carrier::Mail(mailer) => {
                    let all = self.routes.mailboxes(name, concerned);
                    let mail = |(to, whom)| self.mailed(event, (name, channel, mailer), &to, whom);
                    letters.extend(all.into_iter().map(mail));
                }
            }
        }
        letters
    }

    /// The notifications of the end of a request: to those who were told of it.
    pub(super) fn over(&self, event: &Event, told: &[WasTold]) -> Vec<Letter> {
        let follow = |was: &WasTold| {
            let channel = self.channels.get(&was.way.channel)?;
            match &channel.carrier {
                Carrier::Webhook(_) => Some(self.posted(event, &was.way.channel, channel)),
                Carrier::Mail(mailer) => {
                    let to: Address = was.way.recipient.parse().ok()?;
                    let Said { text, .. } = event.mail(Whom::Approver, channel.text, &self.link(event));
                    let subject = format!("Re: {}", was.note);
                    let first = self.id(event, "elevation.opened", mailer, &to);
                    let id = self.id(event, &event.kind, mailer, &to);
                    Some(Letter {
                        way: was.way.clone(),
                        body: letter(&subject, &text, &id, Some(&first)),
                        note: String::new(),
                        held: Millis::new(0),
                    })
                }
            }
        };
        told.iter().filter_map(follow).collect()
    }

    /// The notifications of one more passkey: to its person, and to every webhook.
    pub(super) fn passkey(&self, event: &Event) -> Vec<Letter> {
        let mut letters = Vec::new();
        for (name, channel) in self.channels {
            match &channel.carrier {
                Carrier::Webhook(_) => letters.push(self.posted(event, name, channel)),
                Carrier::Mail(mailer) => {
                    let to = self.routes.people.get(event.text("name")).filter(|_| self.routes.owners(name));
                    letters
                        .extend(to.map(|to| self.mailed(event, (name, channel, mailer), to, Whom::Holder)));
                }
            }
        }
        letters
    }

    fn link(&self, event: &Event) -> String {
        match (event.what, event.elevation()) {
            (What::Passkey, _) | (_, None) => format!("{}/me", self.page),
            (_, Some(id)) => format!("{}/r/{id}", self.page),
        }
    }

    /// What a message is about: the request, or the moment.
    fn id(&self, event: &Event, kind: &str, mailer: &Mailer, to: &Address) -> String {
        let thread = event.elevation().map_or_else(|| event.at.millis().to_string(), |id| id.to_string());
        mail::id(&thread, kind, &mailer.from, to)
    }

    fn mailed(
        &self,
        event: &Event,
        (name, channel, mailer): (&str, &Channel, &Mailer),
        to: &Address,
        whom: Whom,
    ) -> Letter {
        let Said { subject, text } = event.mail(whom, channel.text, &self.link(event));
        let id = self.id(event, &event.kind, mailer, to);
        Letter {
            way: way(event, name, &to.to_string()),
            body: letter(&subject, &text, &id, None),
            note: subject,
            held: self.held,
        }
    }

    /// A webhook's message (Standard Webhooks), with its line for people and a link to its page.
    fn posted(&self, event: &Event, name: &str, channel: &Channel) -> Letter {
        let mut data = event.data.clone();
        data.insert("text", event.line(channel.text));
        if !self.page.is_empty() {
            data.insert("link", self.link(event));
        }
        if let Some(said) = event.all_said(channel.text) {
            data.insert("said", Json::Object(said));
        }
        let message = [
            ("type", Json::from(event.kind.as_str())),
            ("timestamp", Json::from(event.at)),
            ("data", Json::Object(data)),
        ];
        Letter {
            way: way(event, name, ""),
            body: Json::object(message).text(),
            note: String::new(),
            held: Millis::new(0),
        }
    }
}

fn way(event: &Event, channel: &str, recipient: &str) -> Way {
    let thread = event.elevation().map(|id| id.to_string()).unwrap_or_default();
    Way { channel: channel.to_owned(), recipient: recipient.to_owned(), thread }
}

/// A mail, as it waits.
fn letter(subject: &str, text: &str, id: &str, follows: Option<&str>) -> String {
    let follows = follows.map_or(Json::Null, Json::from);
    let (subject, text, id) = (Json::from(subject), Json::from(text), Json::from(id));
    Json::object([("subject", subject), ("text", text), ("id", id), ("follows", follows)]).text()
}
