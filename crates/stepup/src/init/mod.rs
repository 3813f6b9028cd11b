//! `stepup init`: a configuration that explains itself, a starter policy, fresh keys. It overwrites nothing.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use terms::Ambient;

use crate::cli::{Exit, Init, Said, Spoken};
use crate::keys::Keys;

/// The configuration, with two places for what differs.
const CONFIG: &str = include_str!("stepup.toml");
const ALONE: &str = include_str!("alone.toml");
const TEAM: &str = include_str!("team.toml");
/// The starter rules, and the scenarios that say what they are for.
const POLICY_ALONE: [&str; 2] = [
    include_str!("../../../../policies/starter-solo.cedar"),
    include_str!("../../../../policies/starter-solo.scenarios.yaml"),
];
const POLICY_TEAM: [&str; 2] = [
    include_str!("../../../../policies/starter-team.cedar"),
    include_str!("../../../../policies/starter-team.scenarios.yaml"),
];

/// Writes it all.
///
/// # Errors
/// A sentence that says what is in the way; nothing that exists is changed.
pub fn run(init: &Init, ambient: &dyn Ambient) -> Spoken {
    let alone = match (init.alone, init.team) {
        (true, _) => true,
        (_, true) => false,
        (false, false) => ask()?,
    };
    let folder = &init.folder;
    let config = folder.join("stepup.toml");
    let policies = folder.join("policies");
    if config.exists() {
        let todo = "choose another folder, or edit that file";
        return Err(Said::failed(format!("{} exists already", config.display()), todo));
    }
    let io = |path: &Path, e: &std::io::Error| {
        Said::failed(format!("{}: {e}", path.display()), "nothing more was written")
    };
    std::fs::create_dir_all(&policies).map_err(|e| io(&policies, &e))?;
    Keys::create(&folder.join("keys"), ambient)
        .map_err(|e| Said::failed(e.to_string(), "choose another folder"))?;
    let (requirements, policy) = if alone { (ALONE, POLICY_ALONE) } else { (TEAM, POLICY_TEAM) };
    let files = [policies.join("starter.cedar"), policies.join("starter.scenarios.yaml")];
    for (file, text) in files.iter().zip(policy) {
        write(file, text).map_err(|e| io(file, &e))?;
    }
    write(&config, &CONFIG.replace("# <requirements>\n", requirements)).map_err(|e| io(&config, &e))?;
    Ok(next_steps(folder, alone))
}

fn write(path: &PathBuf, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Alone, or a team? Without a terminal there is nobody to ask.
fn ask() -> Result<bool, Said> {
    let usage = Said::failed("init needs to know who approves", "say --alone or --team").exit(Exit::Usage);
    if !std::io::stdin().is_terminal() {
        return Err(usage);
    }
    let question = "Who approves what agents do?\n\n  1  I work alone: I confirm what my own agents do\n  2  We are a team: somebody else approves\n\n1 or 2: ";
    for _ in 0..3 {
        let mut out = std::io::stderr();
        let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush());
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        match line.trim() {
            "1" => return Ok(true),
            "2" => return Ok(false),
            _ => {}
        }
    }
    Err(usage)
}

fn next_steps(folder: &Path, alone: bool) -> Said {
    let people = if alone {
        "  stepup human invite me --group owners            then open the link and make a passkey\n  stepup caller add my-agent --owner me --group ops-agents"
    } else {
        "  stepup human invite alice --group release-managers   a person who approves\n  stepup human invite bob                              a person who owns an agent\n  stepup caller add my-agent --owner bob --group ops-agents"
    };
    let text = format!(
        "Written to {}:\n  stepup.toml              everything that can be set, explained\n  policies/starter.cedar   what may run, and what is stopped until it is approved\n  keys/                    readable by you alone; back them up\n\nNext, in that folder:\n  stepup check\n  stepup serve\nand in another terminal:\n{people}",
        folder.display()
    );
    Said::done(text, serde_json::json!({ "folder": folder, "alone": alone }))
}

#[cfg(test)]
mod tests {
    use super::{ALONE, CONFIG, TEAM};
    use crate::config::{Activate, Config};

    fn parsed(text: &str) -> Config {
        Config::parse(text, "stepup.toml".as_ref(), "/home".into()).expect("it is good configuration")
    }

    fn written(requirements: &str) -> String {
        CONFIG.replace("# <requirements>\n", requirements)
    }

    /// With every `# key = value` line of the tables taken out of its comment; what follows them are examples.
    fn uncommented(text: &str) -> String {
        let (defaults, examples) =
            text.split_once("# Told of").expect("the examples have a place of their own");
        let key = regex::Regex::new("(?m)^# ([a-z_]+ = )").expect("it is a pattern");
        assert!(key.find_iter(defaults).count() >= 15, "the defaults are explained");
        format!("{}# Told of{examples}", key.replace_all(defaults, "$1"))
    }

    #[test]
    fn what_is_commented_out_is_the_default() {
        for requirements in [ALONE, TEAM] {
            let text = written(requirements);
            let (without, with) = (parsed(&text), parsed(&uncommented(&text)));
            assert_eq!(format!("{without:?}"), format!("{with:?}"));
        }
    }

    #[test]
    fn init_writes_the_defaults_but_for_requirements_and_rules_that_count_once_saved() {
        for requirements in [ALONE, TEAM] {
            let (written, mut bare) = (parsed(&written(requirements)), parsed(requirements));
            assert_eq!(
                (written.policy.activate, bare.policy.activate),
                (Activate::OnSave, Activate::ByCommand)
            );
            bare.policy.activate = Activate::OnSave;
            assert_eq!(format!("{written:?}"), format!("{bare:?}"));
            assert_eq!(written.bundle.requirements.len(), 3, "every rung that the starter policy names");
        }
    }
}
