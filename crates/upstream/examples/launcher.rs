//! The launcher as the binary has it, for tests: everything after its verb is the launcher's.

fn main() -> std::process::ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_none_or(|verb| verb != upstream::launcher::VERB) {
        return std::process::ExitCode::from(2);
    }
    upstream::launcher::launch(words)
}
