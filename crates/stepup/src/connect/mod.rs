//! `stepup connect`: the client's own configuration, with one entry for all upstreams, or one for each. What will change is shown first,
//! what was there before is kept, and `--remove` puts it back. A key is never written: the client is told where it is.

mod clients;
mod diff;
mod disk;
mod edit;
mod json;
mod toml;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use terms::Ambient;

use crate::cli::{Connect, Exit, Said, Spoken};
use crate::config::Config;
use crate::private::{self, NotPrivate};
use clients::{Account, CLIENTS, Client, Of, Way};
use disk::{Becomes, Found};
use edit::{Edited, Unfit};

/// The names of the clients.
pub fn names() -> impl Iterator<Item = &'static str> {
    CLIENTS.iter().map(|client| client.name)
}

/// Connects a client, or takes the connection out.
///
/// # Errors
/// What is in the way; nothing was changed then.
pub fn run(connect: &Connect, config: &Path, ambient: &dyn Ambient) -> Spoken {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    if home.is_none() && connect.file.is_none() {
        return Err(Said::failed(
            "the environment has no HOME",
            "set it, or name the client's configuration with --file",
        ));
    }
    let account = Account {
        home: home.map(PathBuf::from).unwrap_or_default(),
        variable: &|name| std::env::var_os(name),
        macos: cfg!(target_os = "macos"),
    };
    at(connect, config, &account, &mut ask, ambient)
}

fn at(
    connect: &Connect,
    config: &Path,
    account: &Account<'_>,
    ask: &mut dyn FnMut(&str) -> Result<bool, Said>,
    ambient: &dyn Ambient,
) -> Spoken {
    let client = Client::named(&connect.client).ok_or_else(|| {
        Said::failed(format!("there is no client {}", connect.client), "see --help").exit(Exit::Usage)
    })?;
    let file = connect.file.clone().unwrap_or_else(|| client.file(account));
    let mut plan = if connect.remove {
        Plan::without(connect, client, &file)?
    } else {
        Plan::with(connect, client, &file, config)?
    };
    if plan.edited.is_same() {
        return Ok(plan.said(client, "Nothing to do", false, None));
    }
    if connect.dry_run {
        return Ok(plan.said(client, "Nothing was written", false, None));
    }
    let show = |text: &str| writeln!(std::io::stderr(), "{text}\n");
    if !connect.yes {
        let _ = show(&plan.explained());
        plan.shown = true;
        if !ask(&format!("Write this to {}?", plan.found.path.display()))? {
            return Ok(plan.said(client, "Nothing was written", false, None));
        }
    }
    let backup = plan.found.write(&plan.becomes, ambient)?;
    Ok(plan.said(client, if connect.remove { "Taken out" } else { "Written" }, true, backup))
}

/// What will be done.
struct Plan {
    found: Found,
    edited: Edited,
    becomes: Becomes,
    diff: String,
    /// Whether somebody has seen the diff already.
    shown: bool,
    next: String,
}

impl Plan {
    fn with(connect: &Connect, client: &Client, file: &Path, config: &Path) -> Result<Self, Said> {
        let read = Config::read(config).map_err(|e| Said::failed(e.to_string(), ""))?;
        let way = way(connect, client, &read)?;
        let entry = |of: Of| client.entry(&of, &way).map(|entry| (of, entry));
        let wanted: Option<Vec<(Of, Value)>> = asked_for(connect, &read)?.into_iter().map(entry).collect();
        let wanted = wanted.ok_or_else(|| Said::failed("a path is not UTF-8", "move the file"))?;
        let ask = client.input(&way).is_some();
        let found = disk::look(file)?;
        let edited = edit::add(client, found.text.as_deref().unwrap_or_default(), &wanted, ask)
            .map_err(|unfit| refused(&unfit, client, &found, &wanted, ask))?;
        let becomes = Becomes::Text(edited.text.clone());
        Ok(Self::of(client, found, edited, becomes, next(client, &way)))
    }

    fn without(connect: &Connect, client: &Client, file: &Path) -> Result<Self, Said> {
        let found = disk::look(file)?;
        let text = found.text.as_deref().unwrap_or_default();
        let mut edited = edit::remove(client, text, &connect.upstreams)
            .map_err(|unfit| refused(&unfit, client, &found, &[], false))?;
        let mut becomes = Becomes::Text(edited.text.clone());
        // Back to the byte, where that says the same.
        if let Some(before) = found.before() {
            let text = match &before {
                Becomes::Text(text) => text,
                Becomes::Nothing => "",
            };
            if edit::alike(client, text, &edited.text) {
                edited.text = text.to_owned();
                becomes = before;
            }
        }
        let next = format!("Restart {} for it to forget them.", client.title);
        Ok(Self::of(client, found, edited, becomes, next))
    }

    fn of(client: &Client, found: Found, edited: Edited, becomes: Becomes, next: String) -> Self {
        let name = found.path.display().to_string();
        let diff = if edited.is_same() {
            String::new()
        } else {
            diff::between(client, &name, found.text.as_deref().unwrap_or_default(), &edited)
        };
        Self { found, edited, becomes, diff, shown: false, next }
    }

    /// The diff, and what its marks stand for.
    fn explained(&self) -> String {
        if !self.diff.contains('…') {
            return self.diff.clone();
        }
        format!("{}\n(… is not of stepup, may be a secret, and is not shown.)", self.diff)
    }

    fn said(&self, client: &Client, what: &str, written: bool, backup: Option<PathBuf>) -> Said {
        let file = self.found.path.display();
        let mut text = vec![format!("{what}: {} in {file}.", client.title)];
        if !self.shown {
            text.insert(0, self.explained());
        }
        match (&backup, &self.found.text) {
            (Some(backup), Some(_)) => {
                text.push(format!("What was there before is in {}.", backup.display()))
            }
            (Some(_), None) => text.push("There was no such file before.".to_owned()),
            (None, _) => {}
        }
        if written {
            text.push(self.next.clone());
        }
        text.retain(|line| !line.is_empty());
        let Edited { added, changed, removed, .. } = &self.edited;
        let json = json!({
            "client": client.name, "file": self.found.path, "added": added, "changed": changed, "removed": removed,
            "written": written, "backup": backup, "diff": self.diff,
        });
        Said::done(text.join("\n"), json)
    }
}

/// One entry for all upstreams, unless some of them or each were asked for.
fn asked_for(connect: &Connect, config: &Config) -> Result<Vec<Of>, Said> {
    let all: Vec<String> = config.upstreams.keys().cloned().collect();
    if all.is_empty() {
        return Err(Said::failed("no upstream is configured", "add [upstreams.NAME] to stepup.toml"));
    }
    if let Some(unknown) = connect.upstreams.iter().find(|name| !all.contains(name)) {
        let todo = format!("there are: {}", all.join(", "));
        return Err(Said::failed(format!("there is no upstream {}", terms::text::quoted(unknown)), todo));
    }
    if connect.upstreams.is_empty() && !connect.each {
        return Ok(vec![Of::All]);
    }
    let asked = |name: &String| connect.each || connect.upstreams.contains(name);
    Ok(all.into_iter().filter(asked).map(Of::One).collect())
}

/// By HTTP with a variable, or by a program with a file.
fn way(connect: &Connect, client: &Client, config: &Config) -> Result<Way, Said> {
    let usage = |what: String, todo: &str| Said::failed(what, todo).exit(Exit::Usage);
    if let Some(key) = &connect.key_file {
        let program = std::env::current_exe()
            .map_err(|e| Said::failed(format!("where this program is cannot be told: {e}"), ""))?;
        return Ok(Way::Stdio { program, url: config.agents.public_url.clone(), key: key_file(key)? });
    }
    if client.http.is_none() {
        let todo = "write the key that `stepup caller add` printed to a file that only you can read (chmod 600), and \
                    name it with --key-file";
        return Err(usage(format!("{} starts programs, and gives them no key", client.title), todo));
    }
    let variable = connect.key_env.clone();
    let good = variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !good || variable.is_empty() || variable.starts_with(|c: char| c.is_ascii_digit()) {
        let what = format!("--key-env {} is no name of a variable", terms::text::quoted(&variable));
        return Err(usage(what, "give the name, not the key: as in STEPUP_KEY"));
    }
    Ok(Way::Http { base: config.agents.public_url.clone(), variable })
}

/// A file of a key: there, and for its owner alone.
fn key_file(path: &Path) -> Result<PathBuf, Said> {
    let failed = |what: &str, todo: String| Said::failed(format!("{}: {what}", path.display()), todo);
    let path = std::path::absolute(path).map_err(|e| failed(&e.to_string(), String::new()))?;
    private::check(&path).map_err(|why| match why {
        NotPrivate::Io(e) => {
            let todo = "write the key that `stepup caller add` printed to it, and chmod 600 it";
            failed(&e.to_string(), todo.to_owned())
        }
        NotPrivate::NotAFile => failed("it is not a regular file", String::new()),
        NotPrivate::Open => {
            failed("it can be read by others than its owner", format!("chmod 600 {}", path.display()))
        }
    })?;
    Ok(path)
}

/// What remains to be done.
fn next(client: &Client, way: &Way) -> String {
    let title = client.title;
    match way {
        Way::Stdio { key, .. } => format!("Restart {title}. The key stays in {}.", key.display()),
        Way::Http { .. } if client.asks() => {
            format!(
                "{title} asks for the key that `stepup caller add` printed when it starts a server, and keeps it itself."
            )
        }
        Way::Http { variable, .. } => format!(
            "{title} takes the key from its environment: start it where {variable} is the key that `stepup caller add` \
             printed."
        ),
    }
}

/// Why a configuration is left alone, and what to put into it by hand.
fn refused(unfit: &Unfit, client: &Client, found: &Found, wanted: &[(Of, Value)], ask: bool) -> Said {
    let happened = format!("{}: {unfit}; nothing was changed", found.path.display());
    let todo = match unfit {
        Unfit::Clash(_) => "rename or remove that entry yourself, if it is no longer wanted".to_owned(),
        Unfit::Broken(_) | Unfit::Shape(_) | Unfit::Twice(_) | Unfit::More => {
            match edit::add(client, "", wanted, ask) {
                Ok(snippet) if !wanted.is_empty() => {
                    format!("repair it, or put this into it by hand:\n\n{}", snippet.text.trim_end())
                }
                Ok(_) | Err(_) => {
                    "repair it, or take the entries named stepup or stepup-… out by hand".to_owned()
                }
            }
        }
    };
    Said::failed(happened, todo)
}

/// Asks at the terminal; without one there is nobody to ask.
fn ask(question: &str) -> Result<bool, Said> {
    if !std::io::stdin().is_terminal() {
        let todo = "look at the change with --dry-run, then say --yes";
        return Err(
            Said::failed("connect asks before it writes, and there is no terminal", todo).exit(Exit::Usage)
        );
    }
    let mut err = std::io::stderr();
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap_or(0);
    Ok(read > 0 && ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
}
