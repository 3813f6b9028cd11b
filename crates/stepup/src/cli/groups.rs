//! Who is in which group: for each member and each group a change of its own, asked of the rules by itself.

use serde_json::{Value, json};

use super::Desk;
use super::caller::done;
use super::say::{Exit, Said, Spoken};

/// Puts a member into groups and takes it out of others. What was stopped, and why, is answered once the rest is done.
async fn regroup(
    desk: &Desk,
    name: &str,
    add: &[String],
    remove: &[String],
) -> Result<Vec<(String, Said)>, Said> {
    let mut stopped = Vec::new();
    let all = add.iter().map(|group| (group, true)).chain(remove.iter().map(|group| (group, false)));
    for (group, is) in all {
        let changed = desk.authority.set_member(group, name, is, &desk.by).await?;
        if let Err(said) = done(desk, changed) {
            stopped.push((format!("{} {group}", if is { "Into" } else { "Out of" }), said));
        }
    }
    Ok(stopped)
}

/// `stepup human groups`.
pub(super) async fn run(desk: &Desk, name: &str, add: &[String], remove: &[String]) -> Spoken {
    if let Some(group) = add.iter().find(|group| remove.contains(group)) {
        let what = format!("{name} cannot be put into {group} and taken out of it at once");
        return Err(Said::failed(what, "name it once").exit(Exit::Usage));
    }
    let mut stopped = regroup(desk, name, add, remove).await?;
    if add.len() + remove.len() == 1
        && let Some((_, alone)) = stopped.pop()
    {
        return Err(alone);
    }
    let groups = super::human::groups_of(desk, name);
    let said = if groups.is_empty() {
        format!("{name} is in no group.")
    } else {
        format!("{name}: {}", groups.join(", "))
    };
    Ok(beside(Said::done(said, json!({ "name": name, "groups": groups })), stopped))
}

/// Into what somebody who was just added is to be put yet.
pub(super) async fn join(desk: &Desk, name: &str, groups: &[String], said: Said) -> Spoken {
    let is_in = super::human::groups_of(desk, name);
    let others: Vec<String> = groups.iter().filter(|group| !is_in.contains(group)).cloned().collect();
    // What it was added with is shown once: it is told whatever becomes of the groups.
    let stopped = regroup(desk, name, &others, &[])
        .await
        .unwrap_or_else(|failed| vec![("Into none".to_owned(), failed)]);
    if stopped.is_empty() {
        return Ok(said);
    }
    let adds: Vec<String> = others.iter().map(|group| format!("--add {group}")).collect();
    let command = format!("stepup human groups {name} {}", adds.join(" "));
    let text =
        format!("{}\n\n{name} is put into groups by itself, when that is approved: {command}", said.text);
    Ok(beside(Said { text, ..said }, stopped))
}

/// What was done, with what was not: that decides how the command ends.
fn beside(mut said: Said, stopped: Vec<(String, Said)>) -> Said {
    for (which, one) in &stopped {
        said.text.push_str(&format!("\n\n{which}: {}", one.text));
    }
    if let Some((_, first)) = stopped.first() {
        said.exit = first.exit;
    }
    let stopped: Vec<Value> = stopped.into_iter().map(|(_, one)| one.json).collect();
    if let Some(members) = said.json.as_object_mut().filter(|_| !stopped.is_empty()) {
        members.insert("stopped".to_owned(), Value::Array(stopped));
    }
    said
}
