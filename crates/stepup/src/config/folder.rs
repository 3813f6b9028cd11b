//! The Cedar texts of the policy folder. Whoever can write there is trusted with rules, and with nothing else: what is read is
//! files of that folder, of bounded size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use terms::text::{hides, visible};

use super::ConfigError;

/// The longest file, as the rules in it are bounded too.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The most files, and the most bytes of all of them.
const MOST: usize = 1000;
const ALL: usize = 16 * 1024 * 1024;

/// Every `*.cedar` file by name.
///
/// # Errors
/// [`ConfigError`] with the file that cannot be one of rules.
pub(super) fn texts(dir: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let unreadable = |e: std::io::Error| ConfigError::new(dir, format!("cannot be read: {e}"));
    let home = dir.canonicalize().map_err(unreadable)?;
    let mut texts = BTreeMap::new();
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|ending| ending != "cedar") {
            continue;
        }
        let plain = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.chars().any(hides));
        let Some(name) = plain.map(str::to_owned) else {
            let name = visible(&path.file_name().unwrap_or_default().to_string_lossy());
            let why = format!("has a file whose name hides something: {name}");
            return Err(ConfigError::new(dir, why).help("name it plainly"));
        };
        let text = text(&path, &home).map_err(|(why, help)| ConfigError::new(&path, why).help(help))?;
        bytes += text.len();
        texts.insert(name, text);
        if texts.len() > MOST || bytes > ALL {
            let why = "has over 1,000 files of rules, or over 16 MiB of them";
            return Err(ConfigError::new(dir, why).help("keep only the rules that are in use there"));
        }
    }
    Ok(texts)
}

/// The text of one file of the folder. A link within the folder is one (a mounted `ConfigMap` is made of such); one that leads
/// out of it would have rules come from where nobody looks.
fn text(path: &Path, home: &Path) -> Result<String, (String, &'static str)> {
    let unreadable =
        |e: std::io::Error| (format!("cannot be read: {e}"), "let stepup's account read it, or take it away");
    let wrong = |why: &str, help: &'static str| Err((why.to_owned(), help));
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(home) {
        return wrong("is a link that leads out of the policy folder", "put the file itself there");
    }
    // Looked at before it is opened: to open a pipe is to wait for its writer.
    let meta = std::fs::metadata(&real).map_err(unreadable)?;
    if !meta.is_file() {
        return wrong(
            "is no file",
            "only files of rules have names that end in .cedar here: name it otherwise",
        );
    }
    if meta.len() > LONGEST {
        return wrong("is over 4 MiB", "split it: rules may stand in as many files as you like");
    }
    let mut bytes = Vec::new();
    let file = File::open(&real).map_err(unreadable)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > LONGEST) {
        return wrong("is over 4 MiB", "split it: rules may stand in as many files as you like");
    }
    String::from_utf8(bytes).map_err(|e| {
        let from = e.utf8_error().valid_up_to();
        (format!("is not UTF-8 from byte {from} on"), "save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const RULE: &str = "@id(\"a\") permit (principal, action, resource);";

    #[test]
    fn what_is_no_file_of_rules_of_that_folder_is_refused_by_name() {
        for (what, says) in [
            ("huge", "over 4 MiB"),
            ("bytes", "not UTF-8 from byte 3 on"),
            ("folder", "is no file"),
            ("pipe", "is no file"),
            ("out", "leads out of the policy folder"),
            ("gone", "cannot be read"),
        ] {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("policies");
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("a.cedar"), RULE).unwrap();
            let path = dir.join("x.cedar");
            match what {
                "huge" => File::create(&path).unwrap().set_len(LONGEST + 1).unwrap(),
                "bytes" => std::fs::write(&path, b"// \xff").unwrap(),
                "folder" => std::fs::create_dir(&path).unwrap(),
                "pipe" => {
                    let mode = rustix::fs::Mode::from_raw_mode(0o600);
                    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
                }
                "out" => {
                    std::fs::write(home.path().join("rules"), RULE).unwrap();
                    symlink(home.path().join("rules"), &path).unwrap();
                }
                _ => symlink(dir.join("nowhere"), &path).unwrap(),
            }
            let told = texts(&dir).unwrap_err().to_string();
            assert!(told.contains(says) && told.contains("x.cedar"), "{what}: {told}");
        }
        assert!(texts(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_name_that_hides_something_is_refused_as_it_is() {
        use std::os::unix::ffi::OsStrExt as _;
        for (name, told) in [
            (&b"a\nb.cedar"[..], "a⟨U+000A⟩b.cedar"),
            (b"a\x1b[2J.cedar", "a⟨U+001B⟩[2J.cedar"),
            ("a\u{202e}b.cedar".as_bytes(), "a⟨U+202E⟩b.cedar"),
            (b"a\xffb.cedar", "hides something"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), RULE).unwrap();
            let said = texts(dir.path()).unwrap_err().to_string();
            assert!(said.contains(told), "{said}");
        }
    }

    #[test]
    fn a_link_within_the_folder_is_a_file_of_it_and_what_is_no_rule_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("..data")).unwrap();
        std::fs::write(dir.path().join("..data/a.cedar"), RULE).unwrap();
        symlink("..data/a.cedar", dir.path().join("a.cedar")).unwrap();
        std::fs::write(dir.path().join("b.yaml"), [0xff]).unwrap();
        assert_eq!(texts(dir.path()).unwrap(), BTreeMap::from([("a.cedar".to_owned(), RULE.to_owned())]));
    }
}
