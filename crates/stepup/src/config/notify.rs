//! `[notify]`: over which channels people are told of requests, and who over which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use console::notify::{
    Address, Carrier, Channel, DESKTOP, Group, Login, Mailbox, Mailer, Routes, Server, Settings,
};
use console::notify::{Text, Tls, Webhook};
use serde::Deserialize;
use terms::{Requirement, Secret, Tree};

use super::file::{From, web};
use super::wrong::{self, Wrong};
use super::{ConfigError, nearest};

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    channels: BTreeMap<String, WrittenChannel>,
    groups: BTreeMap<String, WrittenGroup>,
    requirements: BTreeMap<String, Vec<String>>,
    owners: Option<Vec<String>>,
    people: BTreeMap<String, String>,
}

/// A channel: a webhook, or mail; and how much is told over it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenChannel {
    webhook: Option<String>,
    secret: Option<From>,
    smtp: Option<String>,
    tls: Option<WrittenTls>,
    ca: Option<PathBuf>,
    user: Option<String>,
    password: Option<From>,
    from: Option<String>,
    text: WrittenText,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenTls {
    None,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenText {
    #[default]
    Brief,
    Full,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenGroup {
    channels: Option<Vec<String>>,
    to: Vec<String>,
}

/// Mailboxes of one group, beside those of its members, and people who have an address.
const MOST_SHARED: usize = 20;
const MOST_PEOPLE: usize = 10_000;

/// How long one delivery may take.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How people are told, checked; secrets are read by whoever tells, and by nobody else: a lock does not wait for them (M9).
#[derive(Debug, Default)]
pub struct Notify {
    ways: BTreeMap<String, (Way, Text)>,
    /// Who over which.
    pub routes: Routes,
    /// How much pops up on a desktop.
    pub desktop: Text,
}

#[derive(Debug)]
enum Way {
    Webhook { url: String, secret: Held },
    Mail { host: String, port: u16, tls: Tls, ca: Option<Held>, login: Option<(String, Held)>, from: Mailbox },
}

/// A secret, or a file, with where the configuration speaks of it.
#[derive(Debug)]
struct Held {
    from: From,
    file: String,
    line: Option<usize>,
    name: String,
}

impl Held {
    fn read(&self, home: &Path) -> Result<Secret<String>, ConfigError> {
        self.from.read(home).map_err(|why| self.wrong(format!("cannot be read: {why}")))
    }

    fn wrong(&self, why: impl std::fmt::Display) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            line: self.line,
            message: format!("{} {why}", self.name),
            help: Some("whoever runs `stepup serve` sets it; no other command needs it".to_owned()),
        }
    }
}

impl Notify {
    /// The files that its secrets are in.
    pub fn secret_files(&self, home: &Path) -> Vec<PathBuf> {
        let of = |(way, _): &(Way, Text)| match way {
            Way::Webhook { secret, .. } => secret.from.file(home),
            Way::Mail { login, .. } => login.as_ref().and_then(|(_, held)| held.from.file(home)),
        };
        self.ways.values().filter_map(of).collect()
    }

    /// As whoever tells needs it: with its secrets.
    ///
    /// # Errors
    /// [`ConfigError`] when one is not where the configuration says, or is none.
    pub fn settings(&self, home: &Path) -> Result<Settings, ConfigError> {
        let one =
            |(name, (way, text)): (&String, &(Way, Text))| Ok((name.clone(), way.channel(home, *text)?));
        let channels = self.ways.iter().map(one).collect::<Result<_, ConfigError>>()?;
        Ok(Settings { channels, routes: self.routes.clone(), ..Settings::default() })
    }
}

impl Way {
    fn channel(&self, home: &Path, text: Text) -> Result<Channel, ConfigError> {
        match self {
            Self::Webhook { url, secret } => {
                let webhook = Webhook::new(url, &secret.read(home)?)
                    .map_err(|why| secret.wrong(format!("is none: {why}")))?;
                Ok(Channel { carrier: Carrier::Webhook(Box::new(webhook)), text, patience: PATIENCE.0 })
            }
            Self::Mail { host, port, tls, ca, login, from } => {
                let signs_in = |(user, held): &(String, Held)| {
                    Ok::<_, ConfigError>(Login { user: user.clone(), password: held.read(home)? })
                };
                let login = login.as_ref().map(signs_in).transpose()?;
                let server = match ca {
                    None => Server::new(host, *port, *tls, login, None)
                        .map_err(|why| ConfigError::new(home, why.to_string()))?,
                    Some(held) => {
                        let path = held.from.file(home).unwrap_or_default();
                        let pem = std::fs::read(&path);
                        let pem =
                            pem.map_err(|e| held.wrong(format!("cannot be read: {}: {e}", path.display())))?;
                        Server::new(host, *port, *tls, login, Some(&pem))
                            .map_err(|why| held.wrong(format!("= {} has {why}", path.display())))?
                    }
                };
                let mailer = Mailer { server, from: from.clone() };
                Ok(Channel { carrier: Carrier::Mail(Box::new(mailer)), text, patience: PATIENCE.1 })
            }
        }
    }
}

/// What is read along with `[notify]`.
pub(super) struct Beside<'a> {
    pub(super) requirements: &'a BTreeMap<String, Requirement>,
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Written {
    pub(super) fn read(self, beside: &Beside<'_>) -> Result<Notify, Wrong> {
        self.read_all(beside).map_err(|wrong| wrong.within(["notify"]))
    }

    fn read_all(mut self, beside: &Beside<'_>) -> Result<Notify, Wrong> {
        let desktop = self.channels.remove(DESKTOP);
        let desktop = desktop.map(WrittenChannel::desktop).transpose();
        let desktop = desktop.map_err(|wrong| wrong.within(["channels", DESKTOP]))?.unwrap_or_default();
        let mut ways = BTreeMap::new();
        for (name, channel) in self.channels {
            let way = channel.read(&name, beside).map_err(|wrong| wrong.within(["channels", &name]))?;
            ways.insert(name, way);
        }
        let known: BTreeSet<&str> = ways.keys().map(String::as_str).chain([DESKTOP]).collect();
        let asked = groups(beside.requirements);
        let mut routes = Routes::default();
        for (name, group) in self.groups {
            let read = group.read(&known);
            let read = known_as(&name, "is asked by no requirement", asked.iter().copied()).and(read);
            routes.groups.insert(name.clone(), read.map_err(|wrong| wrong.within(["groups", &name]))?);
        }
        for (name, channels) in self.requirements {
            let read = named(channels, &known);
            let requirements = beside.requirements.keys().map(String::as_str);
            let read = known_as(&name, "is no requirement", requirements).and(read);
            routes
                .requirements
                .insert(name.clone(), read.map_err(|wrong| wrong.within(["requirements", &name]))?);
        }
        let owners = self.owners.map(|channels| named(channels, &known)).transpose();
        routes.owners = owners.map_err(|wrong| wrong.within(["owners"]))?;
        if self.people.len() > MOST_PEOPLE {
            return Err(Wrong::new(format!("has more than {MOST_PEOPLE} addresses")).within(["people"]));
        }
        for (name, text) in self.people {
            let address = address(&text).map_err(|wrong| wrong.within(["people", &name]))?;
            routes.people.insert(name, address);
        }
        Ok(Notify { ways, routes, desktop })
    }
}

impl WrittenGroup {
    fn read(self, known: &BTreeSet<&str>) -> Result<Group, Wrong> {
        if self.to.len() > MOST_SHARED {
            return Err(Wrong::new(format!("has more than {MOST_SHARED} mailboxes")).within(["to"]));
        }
        let channels = self.channels.map(|channels| named(channels, known)).transpose();
        let to = self.to.iter().map(|text| address(text)).collect::<Result<_, _>>();
        Ok(Group {
            channels: channels.map_err(|wrong| wrong.within(["channels"]))?,
            to: to.map_err(|wrong| wrong.within(["to"]))?,
        })
    }
}

impl WrittenText {
    const fn text(self) -> Text {
        match self {
            Self::Brief => Text::Brief,
            Self::Full => Text::Full,
        }
    }
}

impl WrittenChannel {
    /// The channel that is there without being written: a person's own browser.
    fn desktop(self) -> Result<Text, Wrong> {
        if self.webhook.is_some() || self.smtp.is_some() {
            let help = "give the channel another name: this one is a person's own browser";
            return Err(Wrong::new("takes `text` alone").help(help));
        }
        Ok(self.text.text())
    }

    fn read(self, name: &str, beside: &Beside<'_>) -> Result<(Way, Text), Wrong> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(Wrong::new("cannot be a name").help("use 1 to 32 of a-z, 0-9 and \"-\""));
        }
        let text = self.text.text();
        let held = |key: &str, from: From| Held {
            from,
            file: beside.path.display().to_string(),
            line: wrong::line_of(beside.text, ["notify", "channels", name, key]),
            name: format!("notify.channels.{name}.{key}"),
        };
        match (self.webhook.is_some(), self.smtp.is_some()) {
            (true, false) => Ok((self.webhook(held)?, text)),
            (false, true) => Ok((self.mail(held)?, text)),
            (true, true) | (false, false) => Err(Wrong::new("needs either webhook or smtp")
                .help("write webhook = \"https://…\" or smtp = \"smtps://host\"")),
        }
    }

    fn webhook(self, held: impl Fn(&str, From) -> Held) -> Result<Way, Wrong> {
        let url = self.webhook.unwrap_or_default();
        let of_mail = [
            ("tls", self.tls.is_some()),
            ("ca", self.ca.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("from", self.from.is_some()),
        ];
        if let Some((key, _)) = of_mail.into_iter().find(|(_, written)| *written) {
            return Err(Wrong::new("is of mail, and this is a webhook").within([key]));
        }
        web(&url).map_err(|wrong| wrong.within(["webhook"]))?;
        let plain = url.starts_with("http://");
        let host = url.parse::<axum::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        if plain && !host.is_some_and(|host| on_this_machine(host.trim_matches(['[', ']']))) {
            let what = format!("= {url:?} can be read by everybody on the way");
            let help = "write https://, or an address of this machine";
            return Err(Wrong::new(what).help(help).within(["webhook"]));
        }
        let help = "write secret = { env = \"NAME\" }, of whsec_ and what the receiver has";
        let none = || Wrong::new("has no `secret`: nobody could tell who posts").help(help);
        Ok(Way::Webhook { url, secret: held("secret", self.secret.ok_or_else(none)?) })
    }

    fn mail(self, held: impl Fn(&str, From) -> Held) -> Result<Way, Wrong> {
        if self.secret.is_some() {
            return Err(Wrong::new("is of webhooks, and this is mail")
                .help("write password")
                .within(["secret"]));
        }
        let url = self.smtp.unwrap_or_default();
        let (host, port, implicit) = server(&url).map_err(|wrong| wrong.within(["smtp"]))?;
        let tls = match self.tls {
            None if implicit => Tls::Implicit,
            None => Tls::StartTls,
            Some(WrittenTls::None) if !on_this_machine(&host) => {
                let what = format!("= \"none\": mail to {host} could be read by everybody on the way");
                return Err(Wrong::new(what)
                    .help("leave it out; only a server on this machine needs none")
                    .within(["tls"]));
            }
            Some(WrittenTls::None) if implicit => {
                return Err(Wrong::new("= \"none\" and smtps:// contradict")
                    .help("write smtp://")
                    .within(["tls"]));
            }
            Some(WrittenTls::None) => Tls::None,
        };
        let login = match (self.user, self.password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user, held("password", password))),
            (Some(_), None) => return Err(Wrong::new("has no `password` beside it").within(["user"])),
            (None, Some(_)) => return Err(Wrong::new("has no `user` beside it").within(["password"])),
        };
        let from = self.from.ok_or_else(|| {
            Wrong::new("has no `from`").help("write from = \"stepup <stepup@example.com>\"")
        })?;
        let from = from.parse().map_err(|_| {
            let help = "write one as in \"stepup <stepup@example.com>\"";
            Wrong::new(format!("= {from:?} is no address of mail")).help(help).within(["from"])
        })?;
        let ca = self.ca.map(|file| held("ca", From::File { file }));
        Ok(Way::Mail { host, port, tls, ca, login, from })
    }
}

/// `smtps://host[:465]` or `smtp://host[:587]`: the host, the port, and whether TLS is there from the first byte.
fn server(url: &str) -> Result<(String, u16, bool), Wrong> {
    let wrong = || {
        let help = "write \"smtps://host\" (TLS, port 465) or \"smtp://host\" (STARTTLS, port 587), with :port where it is another";
        Wrong::new(format!("= {url:?} is not the address of a mail server")).help(help)
    };
    let (rest, port, implicit) = match (url.strip_prefix("smtps://"), url.strip_prefix("smtp://")) {
        (Some(rest), _) => (rest, 465, true),
        (None, Some(rest)) => (rest, 587, false),
        (None, None) => return Err(wrong()),
    };
    let (host, port) = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((ip, ""))) => (ip, port),
        Some(Some((ip, after))) => {
            (ip, after.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(wrong)?)
        }
        Some(None) => return Err(wrong()),
        None => match rest.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (rest, port),
        },
    };
    let name = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    let is = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(name));
    if is { Ok((host.to_owned(), port, implicit)) } else { Err(wrong()) }
}

fn on_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn address(text: &str) -> Result<Address, Wrong> {
    let wrong = Wrong::new(format!("= {text:?} is no address of mail"));
    text.parse().map_err(|_| wrong.help("write one as in \"ann@example.com\""))
}

/// Channels that there are.
fn named(channels: Vec<String>, known: &BTreeSet<&str>) -> Result<BTreeSet<String>, Wrong> {
    for name in &channels {
        known_as(name, "is no channel", known.iter().copied())
            .map_err(|wrong| wrong.of(format!("has {name:?}, which")))?;
    }
    Ok(channels.into_iter().collect())
}

/// Whether a name is one of these.
fn known_as<'a>(
    name: &str,
    what: &str,
    mut known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Wrong> {
    if known.clone().any(|one| one == name) {
        return Ok(());
    }
    let near = nearest(name, &mut known);
    let wrong = Wrong::new(what);
    Err(match near {
        Some(near) => wrong.help(format!("did you mean {near:?}?")),
        None => wrong,
    })
}

/// The groups that requirements ask approvals from.
fn groups(requirements: &BTreeMap<String, Requirement>) -> BTreeSet<&str> {
    fn collect<'t>(tree: &'t Tree, into: &mut BTreeSet<&'t str>) {
        match tree {
            Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|part| collect(part, into)),
            Tree::Approvals { from, .. } => drop(into.insert(from)),
            Tree::Owner { .. } | Tree::Purpose | Tree::Ticket { .. } | Tree::KeyBound => {}
        }
    }
    let mut all = BTreeSet::new();
    let trees = requirements.values().flat_map(|requirement| requirement.parts.values());
    trees.for_each(|tree| collect(tree, &mut all));
    all
}
