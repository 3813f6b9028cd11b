//! The caller's key: from a file that nobody else reads, or from the environment. There is no argument for it, because
//! the arguments of a process are seen by everybody on its machine.

use std::io::{self, Read as _};
use std::path::Path;

use terms::Secret;

use crate::cli::Said;
use crate::private::{self, NotPrivate};

/// The variable.
const VARIABLE: &str = "STEPUP_KEY";

/// Bytes of a file with a key in it.
const LONGEST: u64 = 4096;

/// Reads it.
///
/// # Errors
/// When there is none, or others could read it.
pub fn read(file: Option<&Path>) -> Result<Secret<String>, Said> {
    let (text, whence) = match file {
        Some(path) => (from_file(path)?, path.display().to_string()),
        None => (from_environment()?, VARIABLE.to_owned()),
    };
    let key = text.expose().trim_end_matches(['\r', '\n']);
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let happened = format!("{whence} does not hold a key");
        return Err(Said::failed(happened, "it is the one line that `stepup caller add` printed"));
    }
    Ok(Secret::new(key.to_owned()))
}

fn from_environment() -> Result<Secret<String>, Said> {
    let absent = || {
        Said::failed(
            "there is no caller's key",
            format!("set {VARIABLE} in this server's `env` in your client, or name a file with --key-file"),
        )
    };
    // What is not UTF-8 is no key either, and is nobody's business.
    std::env::var(VARIABLE).map(Secret::new).map_err(|_| absent())
}

fn from_file(path: &Path) -> Result<Secret<String>, Said> {
    let shown = path.display();
    let failed = |e: &io::Error| {
        let todo = "write the key into it, and nothing else: (umask 077; cat > FILE)";
        Said::failed(format!("{shown}: {e}"), todo)
    };
    let file = private::open(path).map_err(|why| match why {
        NotPrivate::Io(e) => failed(&e),
        NotPrivate::NotAFile => Said::failed(format!("{shown} is not a file"), ""),
        NotPrivate::Open => Said::failed(
            format!("{shown} can be read or written by others than its owner"),
            format!("chmod 600 {shown}; if somebody may have seen it, stepup caller rotate"),
        ),
    })?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(|e| failed(&e))?;
    Ok(Secret::new(text))
}
