//! A configuration with entries of ours more or less, and nothing else changed: that is checked on what was made,
//! whatever the text looked like.

use serde_json::{Map, Value, json};

use super::clients::{Client, Format, INPUT, Of, input};
use super::json::Document;
use super::toml;

/// Why a configuration is not edited.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It cannot be read.
    #[error("it is broken: {0}")]
    Broken(String),
    /// Servers are not where the client has them.
    #[error("its {0} is not what the client has there")]
    Shape(&'static str),
    /// A name is there twice, and nobody knows which one counts.
    #[error("{0} is in it twice")]
    Twice(String),
    /// The name is taken by something that is not ours.
    #[error("{0} is in it already, and was not made by stepup connect")]
    Clash(String),
    /// An edit would have changed more than it should.
    #[error("it is written in a way that cannot be edited without changing more")]
    More,
}

/// What was done to a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Edited {
    /// What it is now.
    pub text: String,
    /// Entries that are new in it, by their names.
    pub added: Vec<String>,
    /// Entries that say something else now.
    pub changed: Vec<String>,
    /// Entries that are no longer in it.
    pub removed: Vec<String>,
}

impl Edited {
    /// Whether anything was done.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// The entries that differ.
    pub fn touched(&self) -> impl Iterator<Item = &String> {
        self.added.iter().chain(&self.changed).chain(&self.removed)
    }
}

/// With these entries, without ours of the other form, and with what the client is to ask for: nobody sees a tool twice.
///
/// # Errors
/// [`Unfit`]; nothing was edited.
pub(super) fn add(client: &Client, text: &str, wanted: &[(Of, Value)], ask: bool) -> Result<Edited, Unfit> {
    let there = entries(client, text)?;
    let all = wanted.iter().any(|(of, _)| *of == Of::All);
    let mut edited = Edited { text: begun(client, text), ..Edited::default() };
    for (name, _) in made(client, &there).filter(|(_, of)| (*of == Of::All) != all) {
        edited.text = take(client, &edited.text, &name)?;
        edited.removed.push(name);
    }
    for (of, entry) in wanted {
        let name = of.name();
        let changes = match there.get(&name) {
            None => &mut edited.added,
            Some(old) if !client.made(of, old) => return Err(Unfit::Clash(name)),
            Some(old) if holds(old, entry) => continue,
            Some(_) => &mut edited.changed,
        };
        edited.text = put(client, &edited.text, &name, entry)?;
        changes.push(name);
    }
    if ask && !edited.is_same() {
        edited.text = with_input(&edited.text)?;
    }
    checked(client, text, edited, |name| wanted.iter().find(|(of, _)| of.name() == name).map(|(_, e)| e))
}

/// Without the entries of these upstreams, or without any of ours.
///
/// # Errors
/// [`Unfit`]; nothing was edited.
pub(super) fn remove(client: &Client, text: &str, upstreams: &[String]) -> Result<Edited, Unfit> {
    let there = entries(client, text)?;
    let named: Vec<Of> = upstreams.iter().cloned().map(Of::One).collect();
    if let Some(theirs) = named.iter().find(|of| there.get(&of.name()).is_some_and(|e| !client.made(of, e))) {
        return Err(Unfit::Clash(theirs.name()));
    }
    let mut edited = Edited { text: text.to_owned(), ..Edited::default() };
    for (name, _) in made(client, &there).filter(|(_, of)| named.is_empty() || named.contains(of)) {
        edited.text = take(client, &edited.text, &name)?;
        edited.removed.push(name);
    }
    if client.asks() && !edited.is_same() {
        edited.text = without_input(&edited.text)?;
    }
    checked(client, text, edited, |_| None)
}

/// The entries that this command made.
fn made(client: &Client, there: &Map<String, Value>) -> impl Iterator<Item = (String, Of)> {
    let ours = |(name, entry): (&String, &Value)| {
        Of::named(name).filter(|of| client.made(of, entry)).map(|of| (name.clone(), of))
    };
    there.iter().filter_map(ours)
}

/// Whether two configurations say the same but for what is empty in them.
pub(super) fn alike(client: &Client, one: &str, other: &str) -> bool {
    let rest = |text| rest(client, text, &[]);
    matches!((rest(one), rest(other)), (Ok(one), Ok(other)) if one == other)
}

fn checked<'a>(
    client: &Client,
    before: &str,
    edited: Edited,
    wanted: impl Fn(&str) -> Option<&'a Value>,
) -> Result<Edited, Unfit> {
    let names: Vec<String> = edited.touched().cloned().collect();
    let now = entries(client, &edited.text).map_err(|_| Unfit::More)?;
    let right = names.iter().all(|name| now.get(name) == wanted(name));
    let same =
        rest(client, before, &names)? == rest(client, &edited.text, &names).map_err(|_| Unfit::More)?;
    if right && same { Ok(edited) } else { Err(Unfit::More) }
}

/// Whether an entry has all that it should; what somebody added to it is theirs.
fn holds(entry: &Value, wanted: &Value) -> bool {
    let mut members = wanted.as_object().into_iter().flatten();
    members.all(|(name, value)| match (entry.get(name), value) {
        (Some(there), Value::Object(_)) => holds(there, value),
        (there, _) => there == Some(value),
    })
}

fn begun(client: &Client, text: &str) -> String {
    match client.format {
        Format::Json if text.trim().is_empty() => "{}\n".to_owned(),
        Format::Json | Format::Toml => text.to_owned(),
    }
}

/// The whole, as JSON has it.
fn whole(client: &Client, text: &str) -> Result<Map<String, Value>, Unfit> {
    let read = match client.format {
        Format::Json => {
            let text = begun(client, text);
            Document::read(&text).map(|document| document.value(&document.root()))
        }
        Format::Toml => toml::read(text),
    };
    match read.map_err(Unfit::Broken)? {
        Value::Object(whole) => Ok(whole),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Unfit::Shape("outermost value"))
        }
    }
}

/// The servers in it.
pub(super) fn entries(client: &Client, text: &str) -> Result<Map<String, Value>, Unfit> {
    match whole(client, text)?.remove(client.table) {
        None => Ok(Map::new()),
        Some(Value::Object(servers)) => Ok(servers),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(Unfit::Shape(client.table))
        }
    }
}

/// What is in it beside these entries and what we ask for.
fn rest(client: &Client, text: &str, names: &[String]) -> Result<Map<String, Value>, Unfit> {
    let mut whole = whole(client, text)?;
    if let Some(Value::Object(servers)) = whole.get_mut(client.table) {
        servers.retain(|name, _| !names.contains(name));
    }
    if let Some(Value::Array(inputs)) = whole.get_mut("inputs").filter(|_| client.asks()) {
        inputs.retain(|one| *one != input());
    }
    let empty = |value: &Value| *value == json!({}) || *value == json!([]);
    whole.retain(|name, value| !empty(value) || ![client.table, "inputs"].contains(&name.as_str()));
    Ok(whole)
}

fn put(client: &Client, text: &str, name: &str, entry: &Value) -> Result<String, Unfit> {
    match client.format {
        Format::Toml => {
            let there = entries(client, text).map_err(|_| Unfit::More)?.contains_key(name);
            let without = if there { &toml::without(text, client.table, name) } else { text };
            Ok(toml::with(without, client.table, name, entry))
        }
        Format::Json => {
            let document = Document::read(text).map_err(|_| Unfit::More)?;
            let root = document.root();
            let Some(table) = one(document.named(&root, client.table), client.table)? else {
                return Ok(document.with(&root, Some(client.table), &json!({ name: entry })));
            };
            Ok(match one(document.named(&table.value, name), name)? {
                Some(old) => document.instead(&table.value, &old, entry),
                None => document.with(&table.value, Some(name), entry),
            })
        }
    }
}

fn take(client: &Client, text: &str, name: &str) -> Result<String, Unfit> {
    match client.format {
        Format::Toml => Ok(toml::without(text, client.table, name)),
        Format::Json => {
            let document = Document::read(text).map_err(|_| Unfit::More)?;
            let Some(table) = one(document.named(&document.root(), client.table), client.table)? else {
                return Ok(text.to_owned());
            };
            let item = one(document.named(&table.value, name), name)?;
            Ok(item.map_or_else(|| text.to_owned(), |item| document.without(&table.value, &item)))
        }
    }
}

fn with_input(text: &str) -> Result<String, Unfit> {
    let document = Document::read(text).map_err(|_| Unfit::More)?;
    let root = document.root();
    let Some(inputs) = one(document.named(&root, "inputs"), "inputs")? else {
        return Ok(document.with(&root, Some("inputs"), &json!([input()])));
    };
    let Value::Array(there) = document.value(&inputs.value) else { return Err(Unfit::Shape("inputs")) };
    match there.iter().find(|one| one.get("id").is_some_and(|id| id == INPUT)) {
        None => Ok(document.with(&inputs.value, None, &input())),
        Some(ours) if *ours == input() => Ok(text.to_owned()),
        Some(_) => Err(Unfit::Clash(format!("the input {INPUT}"))),
    }
}

/// Nobody is asked for a key that nothing refers to.
fn without_input(text: &str) -> Result<String, Unfit> {
    let document = Document::read(text).map_err(|_| Unfit::More)?;
    let inputs = one(document.named(&document.root(), "inputs"), "inputs")?;
    let Some(inputs) = inputs.filter(|_| !text.contains(&format!("${{input:{INPUT}}}"))) else {
        return Ok(text.to_owned());
    };
    let Value::Array(_) = document.value(&inputs.value) else { return Ok(text.to_owned()) };
    let ours = document.items(&inputs.value).into_iter().find(|item| document.value(&item.value) == input());
    Ok(ours.map_or_else(|| text.to_owned(), |ours| document.without(&inputs.value, &ours)))
}

/// The only one of its name.
fn one<T>(mut found: Vec<T>, name: &str) -> Result<Option<T>, Unfit> {
    let last = found.pop();
    if found.is_empty() { Ok(last) } else { Err(Unfit::Twice(name.to_owned())) }
}
