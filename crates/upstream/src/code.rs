//! Where the code of an upstream is. An interpreter is the same file whatever it runs: its digest says nothing
//! about the upstream, and the file that it is told to run does (T19, decisions A28).

use std::path::{Path, PathBuf};

use crate::config::Stdio;
use crate::identity::{in_folder, program};

/// A program that runs code which a file beside it holds.
struct Interpreter {
    /// Names of its program, without a version at the end.
    names: &'static [&'static str],
    /// Options whose value may be a file and is not yet what runs.
    loads: &'static [&'static str],
    /// Options whose value is what runs: a file, or code, or the name of a module. What follows is data.
    instead: &'static [&'static str],
}

const INTERPRETERS: [Interpreter; 9] = [
    Interpreter {
        names: &["node", "nodejs"],
        loads: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "--env-file",
            "--env-file-if-exists",
            "--openssl-config",
            "--snapshot-blob",
            "--experimental-config-file",
        ],
        instead: &["-e", "--eval", "-p", "--print", "--run"],
    },
    Interpreter {
        names: &["deno"],
        loads: &["-c", "--config", "--import-map", "--lock", "--cert", "--env-file", "--preload", "--import"],
        instead: &["eval", "task"],
    },
    Interpreter {
        names: &["bun"],
        loads: &["-c", "--config", "-r", "--preload", "--require", "--import", "--env-file"],
        instead: &["-e", "--eval", "-p", "--print", "x"],
    },
    Interpreter {
        names: &["python", "pythonw", "pypy"],
        loads: &["-W", "-X", "--check-hash-based-pycs"],
        instead: &["-c", "-m"],
    },
    Interpreter { names: &["ruby", "jruby"], loads: &["-r", "-I", "-C", "-E"], instead: &["-e"] },
    Interpreter { names: &["perl"], loads: &["-I"], instead: &["-e", "-E"] },
    Interpreter {
        names: &["php"],
        loads: &["-c", "-d", "-z", "--php-ini", "--zend-extension"],
        instead: &["-f", "--file", "-r", "--run"],
    },
    Interpreter {
        names: &["sh", "bash", "dash", "ash", "zsh", "ksh", "fish"],
        loads: &["-o", "-O", "--rcfile", "--init-file"],
        instead: &["-c", "--command"],
    },
    Interpreter {
        names: &["java"],
        loads: &["-p", "--module-path", "--upgrade-module-path"],
        instead: &["-jar", "-cp", "-classpath", "--class-path", "-m", "--module"],
    },
];

/// Programs that run what they fetch or find for themselves: of what runs, nothing is in the command but a name.
const RUNNERS: [&str; 19] = [
    "npx", "npm", "pnpx", "pnpm", "yarn", "bunx", "uvx", "uv", "pipx", "docker", "podman", "nerdctl", "env",
    "sudo", "nice", "nohup", "setsid", "stdbuf", "timeout",
];

/// Where the code of a child is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// In its program.
    Program,
    /// In these files, which its program interprets. They are part of its identity.
    Files(Vec<PathBuf>),
    /// Its program interprets something, and the command names no file of it.
    Unnamed,
    /// Wherever its program, a runner of packages or of other programs, fetches or finds it.
    Elsewhere,
}

impl Code {
    /// Where the code of a child is, as of now.
    #[must_use]
    pub fn of(stdio: &Stdio) -> Self {
        let named = stdio.command.first().map(PathBuf::from);
        // `python` may be a link to `python3.12`, and `mcp` one to `node`: either name tells.
        let found = program(stdio).ok().and_then(|path| path.canonicalize().ok());
        let names: Vec<String> = named.iter().chain(&found).filter_map(|path| plain(path)).collect();
        let is = |known: &&str| names.iter().any(|name| name == known);
        if RUNNERS.iter().any(is) {
            // An image that is named by its digest is what the command says, and the command is pinned.
            let exact = stdio.command.iter().any(|word| word.contains("@sha256:"));
            return if exact { Self::Program } else { Self::Elsewhere };
        }
        match INTERPRETERS.iter().find(|interpreter| interpreter.names.iter().any(is)) {
            None => Self::Program,
            Some(interpreter) => match interpreter.files(stdio) {
                files if files.is_empty() => Self::Unnamed,
                files => Self::Files(files),
            },
        }
    }

    /// The files that are pinned because they are run.
    pub(crate) fn files(self) -> Vec<PathBuf> {
        match self {
            Self::Files(files) => files,
            Self::Program | Self::Unnamed | Self::Elsewhere => Vec::new(),
        }
    }
}

impl Interpreter {
    /// The files that it is told to run or load: up to the script, whose own arguments are data and may change.
    ///
    /// A word is taken for the script only if it is a file. A value of an option that is in no list is most often
    /// none; and where it is one, a file too many is pinned before one too few.
    fn files(&self, stdio: &Stdio) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut words = stdio.command.iter().skip(1);
        while let Some(word) = words.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if word.starts_with('-') => (option, Some(value)),
                Some(_) | None => (word.as_str(), None),
            };
            let instead = self.instead.iter().any(|known| is_option(option, known));
            if instead || self.loads.contains(&option) {
                let value = value.or_else(|| words.next().map(String::as_str)).unwrap_or_default();
                files.extend(value.split(':').filter_map(|path| file(stdio, path)));
            } else {
                files.extend(file(stdio, value.unwrap_or(word)));
            }
            let script = !word.starts_with('-') && file(stdio, word).is_some();
            if instead || script {
                break;
            }
        }
        files
    }
}

/// Whether a word is an option, or a cluster of short ones that ends in it, such as `-lc` for `-c`.
fn is_option(word: &str, option: &str) -> bool {
    let letter = option.strip_prefix('-').filter(|letter| letter.len() == 1);
    let cluster = word.strip_prefix('-').filter(|letters| letters.len() <= 4);
    let clustered = || {
        let (Some(letter), Some(cluster)) = (letter, cluster) else { return false };
        cluster.ends_with(letter) && cluster.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    word == option || clustered()
}

/// The name of a program without the version at its end.
fn plain(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-').to_owned())
}

fn file(stdio: &Stdio, word: &str) -> Option<PathBuf> {
    let path = in_folder(stdio, Path::new(word));
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is pinned of a command in a folder that holds `server`, `lib`, `other`, `data` and the folder `sub`.
    fn pinned(command: &[&str]) -> Code {
        let folder = tempfile::tempdir().unwrap();
        for name in ["server", "lib", "other", "data"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let stdio = Stdio { command, cwd: Some(folder.path().to_owned()), ..Stdio::default() };
        match Code::of(&stdio) {
            Code::Files(files) => {
                let names = files.iter().map(|file| file.strip_prefix(folder.path()).unwrap().to_owned());
                Code::Files(names.collect())
            }
            none @ (Code::Program | Code::Unnamed | Code::Elsewhere) => none,
        }
    }

    #[test]
    fn t19_the_file_that_an_interpreter_runs_is_found_and_its_data_are_not() {
        for (command, files) in [
            ("node server data", "server"),
            ("/opt/bin/node22 --no-warnings server data", "server"),
            ("node --require ./lib server data", "lib server"),
            ("node --import=lib --conditions x server data", "lib server"),
            ("deno run --allow-read --config lib server data", "lib server"),
            ("bun run server data", "server"),
            ("python3.12 -u server --database data", "server"),
            ("python -W ignore server data", "server"),
            ("ruby -I sub server data", "server"),
            ("perl -w server data", "server"),
            ("php -f server data", "server"),
            ("bash -eu server data", "server"),
            ("sh -c server data", "server"),
            ("java -Xmx1g -jar server data", "server"),
            ("java -cp server:lib:sub Main data", "server lib"),
        ] {
            let command: Vec<&str> = command.split(' ').collect();
            let files = files.split(' ').map(PathBuf::from).collect();
            assert_eq!(pinned(&command), Code::Files(files), "{command:?}");
        }
    }

    #[test]
    fn a_program_that_is_its_own_code_has_no_other() {
        for command in ["stepup sample-ops --database data", "./server data", "cat data", "nodemon2 data", ""]
        {
            assert_eq!(pinned(&command.split(' ').collect::<Vec<_>>()), Code::Program, "{command}");
        }
        let digest = ["docker", "run", "-i", "mcp/files@sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6"];
        assert_eq!(pinned(&digest), Code::Program);
    }

    #[test]
    fn code_that_the_command_does_not_name_is_said_to_be_nowhere() {
        for command in
            ["python3 -m server.main data", "python3 -Im module data", "bash -lc x data", "node sub"]
        {
            assert_eq!(pinned(&command.split(' ').collect::<Vec<_>>()), Code::Unnamed, "{command}");
        }
        for command in ["npx -y x@1 data", "/usr/bin/uvx x", "docker run x", "npm exec x", "env node server"]
        {
            assert_eq!(pinned(&command.split(' ').collect::<Vec<_>>()), Code::Elsewhere, "{command}");
        }
    }
}
