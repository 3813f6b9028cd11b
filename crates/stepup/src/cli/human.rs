//! `stepup human …`

use authority::{Added, Operator};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::done;
use super::say::{Said, Spoken, table, when};
use super::{Desk, passkeys};

/// People.
#[derive(Subcommand, Debug, Clone, Serialize, Deserialize)]
pub enum Verb {
    /// Invite a person to enrol a passkey; prints the link, once. A new name is added first.
    Invite {
        /// The person's name.
        name: String,
        /// A group the person is in; may be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// List all people.
    List,
    /// Disable a person: signed out, and no vote of theirs counts any more.
    Disable {
        /// The person's name.
        name: String,
    },
    /// List the good passkeys of a person.
    Passkeys {
        /// The person's name.
        name: String,
    },
    /// Revoke a passkey that was lost: it signs nothing any more, and its person is signed out everywhere.
    RevokePasskey {
        /// The person's name.
        name: String,
        /// The passkey, or the beginning of its id.
        #[arg(allow_hyphen_values = true)]
        passkey: String,
        /// Why; people see it.
        #[arg(long, default_value = "revoked on the command line")]
        why: String,
    },
    /// Say whose an account of this machine is: what is done by it is done in that person's name, and approved by others.
    Account {
        /// The person's name.
        name: String,
        /// The account's number; the one that runs this command where it is left out.
        #[arg(long, value_parser = clap::value_parser!(u32).range(..i64::from(u32::MAX)))]
        uid: Option<u32>,
    },
    /// Put a person, or a caller, into groups, or take it out.
    Groups {
        /// The person's or the caller's name.
        name: String,
        /// Into this group; may be repeated.
        #[arg(long = "add", value_name = "GROUP")]
        add: Vec<String>,
        /// Out of this group; may be repeated.
        #[arg(long = "remove", value_name = "GROUP")]
        remove: Vec<String>,
    },
}

impl Verb {
    /// Whether it writes nothing, so that it needs no started node.
    pub(super) const fn only_reads(&self) -> bool {
        match self {
            Self::List | Self::Passkeys { .. } => true,
            Self::Groups { add, remove, .. } => add.is_empty() && remove.is_empty(),
            Self::Invite { .. }
            | Self::Disable { .. }
            | Self::RevokePasskey { .. }
            | Self::Account { .. } => false,
        }
    }

    pub(super) async fn run(self, desk: &Desk) -> Spoken {
        match self {
            Self::Invite { name, groups } => invite(desk, &name, &groups).await,
            Self::List => Ok(list(desk)),
            Self::Disable { name } => {
                done(desk, desk.authority.disable_human(&name, &desk.by).await?)?;
                let text = format!("{name} is disabled and signed out; no vote of theirs counts any more.");
                Ok(Said::done(text, json!({ "human": name, "disabled": true })))
            }
            Self::Account { name, uid } => account(desk, &name, uid).await,
            Self::Passkeys { name } => passkeys::list(desk, &name),
            Self::RevokePasskey { name, passkey, why } => passkeys::revoke(desk, &name, &passkey, &why).await,
            Self::Groups { name, add, remove } => {
                known(desk, &name)?;
                add.iter().try_for_each(|group| check_name(group))?;
                super::groups::run(desk, &name, &add, &remove).await
            }
        }
    }
}

/// Groups hold people and callers that are there.
fn known(desk: &Desk, name: &str) -> Result<(), Said> {
    let active = desk.authority.active();
    if active.humans().any(|human| human.name == name) || active.caller_named(name).is_some() {
        return Ok(());
    }
    Err(Said::failed(
        format!("there is no person and no caller named {name}"),
        "see `stepup human list` and `stepup caller list`",
    ))
}

/// Passkeys cannot move to another name: better told before they are made (decisions A29).
const NEAR: &str = "\n\nThe page is on localhost: it opens in a browser on this machine only. For people elsewhere, set \
    [people] public_url to an https address first; passkeys that were made before sign nothing there.";

async fn invite(desk: &Desk, name: &str, groups: &[String]) -> Spoken {
    check_name(name)?;
    groups.iter().try_for_each(|group| check_name(group))?;
    if desk.authority.active().human_named(name).is_some_and(|human| human.disabled_at.is_some()) {
        return Err(Said::failed(
            format!("{name} is disabled for good, and the name stays theirs in the log"),
            "invite the person under another name",
        ));
    }
    let (token, again) = match desk.authority.add_human(name, groups, &desk.by).await? {
        Added::NameTaken => (done(desk, desk.authority.invite(name, &desk.by).await?)?, again(desk, name)),
        other @ (Added::Done(_) | Added::Missing(_) | Added::Stopped(_) | Added::Refused(_)) => {
            (done(desk, other)?.1, String::new())
        }
    };
    let link = desk.page(&format!("enrol/{}", token.expose()));
    let until = when(desk.authority.invited_until());
    let near = desk.config.people.rp_id == "localhost" && desk.authority.active().humans().count() > 1;
    let near = if near { NEAR } else { "" };
    let text = format!(
        "{name} can enrol a passkey here, once, until {until}:\n\n  {link}\n\nWhoever opens the link first becomes {name}: hand it over in person or over a channel you trust.{again}{near}"
    );
    super::groups::join(desk, name, groups, Said::done(text, json!({ "human": name, "link": link }))).await
}

async fn account(desk: &Desk, name: &str, uid: Option<u32>) -> Spoken {
    let Operator::Account(own) = desk.by.who else {
        return Err(Said::failed("only an account of this machine is somebody's", ""));
    };
    let uid = uid.unwrap_or(own);
    let account = Operator::Account(uid);
    if let Some(row) = desk.authority.active().caller_named(&account.to_string()) {
        let said = desk.authority.callers().into_iter().find(|caller| caller.row.id == row.id);
        let owner = said.map(|caller| caller.owner).unwrap_or_default();
        if owner == name && row.disabled_at.is_none() {
            return Ok(Said::done(
                format!("{account} is {name}'s already."),
                json!({ "account": account.to_string(), "human": name, "changed": false }),
            ));
        }
        return Err(Said::failed(
            format!("{account} is or was {owner}'s, and stays theirs in the log"),
            "have another account of the machine for another person",
        ));
    }
    done(desk, desk.authority.own_account(name, uid, &desk.by).await?)?;
    let text = format!(
        "{account} is {name}'s: what is done by it is done in their name, and what of it takes approval is approved by others."
    );
    Ok(Said::done(text, json!({ "account": account.to_string(), "human": name, "changed": true })))
}

/// What is different when a person is invited again (T105).
fn again(desk: &Desk, name: &str) -> String {
    let active = desk.authority.active();
    let waits = active.human_named(name).is_some_and(|human| active.has_passkey(human));
    let waits = if waits {
        format!(
            "\n\n{name} has a passkey that is good: one that is made beside it signs in, and approves nothing for its \
             first 24 hours. If the old one is lost, revoke it before the link is opened: stepup human passkeys {name}"
        )
    } else {
        String::new()
    };
    format!("\n\nEarlier invitations of {name} are over.{waits}")
}

fn list(desk: &Desk) -> Said {
    let active = desk.authority.active();
    let mut people: Vec<_> = active.humans().collect();
    people.sort_by(|a, b| a.name.cmp(&b.name));
    let passkeys = |id| active.passkeys_of(id).count();
    let rows: Vec<Vec<String>> = people
        .iter()
        .map(|h| {
            let state = if h.disabled_at.is_some() { "disabled" } else { "active" };
            vec![
                h.name.clone(),
                groups_of(desk, &h.name).join(", "),
                passkeys(h.id).to_string(),
                state.to_owned(),
            ]
        })
        .collect();
    let json = people
        .iter()
        .map(|h| {
            json!({ "human": h.name, "id": h.id.to_string(), "groups": groups_of(desk, &h.name),
                    "passkeys": passkeys(h.id), "disabled": h.disabled_at.is_some() })
        })
        .collect::<Vec<_>>();
    let text = if rows.is_empty() {
        "There is nobody yet. Invite somebody: stepup human invite NAME --group GROUP".to_owned()
    } else {
        table(&["PERSON", "GROUPS", "PASSKEYS", "STATE"], &rows)
    };
    Said::done(text, json!({ "humans": json }))
}

pub(super) fn groups_of(desk: &Desk, name: &str) -> Vec<String> {
    let active = desk.authority.active();
    let human = active.human_named(name).map(|h| active.groups_of(h.root));
    let caller =
        || active.caller_named(name).map(|c| active.groups_of_member(authority::Member::Caller(c.id)));
    human.or_else(caller).unwrap_or_default().into_iter().collect()
}

/// Names of people, callers and groups: what can be typed, said aloud and told apart.
pub(super) fn check_name(name: &str) -> Result<(), Said> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(Said::failed(format!("{name:?} cannot be a name"), "use 1 to 64 of a-z, 0-9 and . _ - @"))
}
