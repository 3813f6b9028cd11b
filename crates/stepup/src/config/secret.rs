//! A secret that others gave us, from a file that only its owner can read (T38), or from the environment. Read once, at
//! the start: another one is in force after the next.

use std::io::Read as _;
use std::path::Path;

use terms::Secret;

use crate::private::{self, NotPrivate};

/// Bytes of a secret.
const LONGEST: u64 = 16 << 10;

/// Reads a secret from a file.
///
/// # Errors
/// A sentence that names the file, never its content.
pub(super) fn from_file(path: &Path) -> Result<Secret<String>, String> {
    let name = path.display();
    let failed = |e: std::io::Error| format!("{name}: {e}");
    let file = private::open(path).map_err(|why| match why {
        NotPrivate::Io(e) => failed(e),
        NotPrivate::NotAFile => format!("{name} is not a file"),
        NotPrivate::Open => {
            format!(
                "{name} can be read or written by others than its owner: chmod 600 {name} (a mounted secret: mode 0400)"
            )
        }
    })?;
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST) {
        return Err(format!("{name} is longer than {LONGEST} bytes"));
    }
    some(text, &name.to_string())
}

/// Reads a secret from the environment.
///
/// # Errors
/// A sentence that names the variable, never its value.
pub(super) fn from_environment(name: &str) -> Result<Secret<String>, String> {
    let text = std::env::var(name).map_err(|_| format!("the environment has no {name}"))?;
    some(text, name)
}

/// Without the end of its line. Nothing at all is a secret that somebody forgot.
fn some(text: String, whence: &str) -> Result<Secret<String>, String> {
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err(format!("{whence} is empty")) } else { Ok(Secret::new(secret.to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn t38_a_secret_that_others_may_read_or_write_is_refused_and_stands_in_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, "canary\n").unwrap();
        for mode in [0o604, 0o640, 0o620, 0o602, 0o644, 0o660] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let why = from_file(&path).map(|_| ()).unwrap_err();
            assert!(why.contains("chmod 600") && !why.contains("canary"), "{mode:o}: {why}");
        }
        for mode in [0o600, 0o400] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(from_file(&path).unwrap().expose(), "canary", "without the end of its line");
        }
    }

    #[test]
    fn a_secret_that_is_empty_without_end_or_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (text, says) in [("\r\n".to_owned(), "is empty"), ("x".repeat(17 << 10), "longer")] {
            write(&path, text).unwrap();
            set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(from_file(&path).map(|_| ()).unwrap_err().contains(says));
        }
        assert!(from_file(folder.path()).is_err());
        assert!(from_file(&folder.path().join("none")).is_err());
    }
}
