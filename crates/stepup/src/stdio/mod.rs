//! `stepup stdio`: a client of MCP that only starts programs starts this one, and speaks through it to a gateway over
//! streamable HTTP (MCP 2025-11-25, basic/transports). It is a bridge and no door: it judges nothing, keeps nothing,
//! and has no more power than the caller's key that it is given. Every line that wants an answer gets one.

mod bridge;
mod key;
mod lines;
mod message;
mod session;
mod trouble;

use std::path::Path;
use std::sync::Arc;

use terms::{Ambient, Secret};
use tokio::sync::mpsc;
use upstream::client::Endpoint;
use upstream::{Credential, Http, Timeouts};

use crate::cli::{Said, Spoken, Stdio};
use crate::{clock, serve};
use bridge::Bridge;
pub use key::read as key;
use lines::Heard;

/// Carries lines until the client ends its input, or somebody ends this program.
///
/// # Errors
/// When there is nothing to begin with: no key, no address.
pub fn run(how: &Stdio) -> Spoken {
    serve::keep_memory_closed();
    let key = key::read(how.key_file.as_deref())?;
    let endpoint = endpoint(how, &key)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Said::failed(format!("the runtime does not start: {e}"), ""))?;
    runtime.block_on(async {
        // Threads of their own: a read of standard input cannot be given up, and would keep a runtime from ending.
        let (line, heard) = mpsc::channel::<Heard>(1);
        std::thread::spawn(move || {
            lines::read(std::io::stdin().lock(), |one| line.blocking_send(one).is_ok())
        });
        let out = lines::write(std::io::stdout());
        let notes = lines::write(std::io::stderr());
        Arc::new(Bridge::new(endpoint, out, notes)).carry(heard, serve::told_to_stop()).await;
    });
    // A name that is being looked up keeps nobody waiting.
    runtime.shutdown_background();
    Ok(Said::done("", serde_json::Value::Null))
}

fn endpoint(how: &Stdio, key: &Secret<String>) -> Result<Endpoint, Said> {
    let url = address(&how.url, how.upstream.as_deref())?;
    let value = Secret::new(format!("Bearer {}", key.expose()));
    let http = Http { url, credential: Some(Credential { header: "authorization".to_owned(), value }) };
    let ambient: Arc<dyn Ambient> = Arc::new(clock::Machine::default());
    let todo = "--url is the gateway's address, as in http://127.0.0.1:7300 or https://stepup.example";
    Endpoint::new(&http, Timeouts::default(), ambient).map_err(|why| Said::failed(why, todo))
}

/// The endpoint of an upstream behind a gateway, or that of all. That of the endpoint itself is taken for the gateway's,
/// too.
fn address(gateway: &str, upstream: Option<&str>) -> Result<String, Said> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let path = match upstream {
        None => "/mcp".to_owned(),
        Some(upstream) if (1..=32).contains(&upstream.len()) && upstream.bytes().all(good) => {
            format!("/mcp/{upstream}")
        }
        Some(upstream) => {
            let happened = format!("{upstream:?} is no name of an upstream");
            let todo = "it is 1 to 32 of a-z, 0-9 and \"-\", as in the gateway's stepup.toml";
            return Err(Said::failed(happened, todo));
        }
    };
    let gateway = gateway.trim_end_matches('/');
    let gateway = gateway.strip_suffix(&path).unwrap_or(gateway);
    if gateway.contains(['?', '#']) || Path::new(gateway).ends_with("mcp") || gateway.contains("/mcp/") {
        let happened = format!("--url {gateway:?} is not the address of a gateway");
        return Err(Said::failed(
            happened,
            "leave out what follows the host: --upstream says which upstream, and none means all",
        ));
    }
    Ok(format!("{gateway}{path}"))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_address_is_that_of_the_gateway_or_of_the_endpoint_and_nothing_else() {
        for (given, made) in [
            ("http://127.0.0.1:7300", "http://127.0.0.1:7300/mcp/ops"),
            ("http://127.0.0.1:7300/", "http://127.0.0.1:7300/mcp/ops"),
            ("https://gw.example/stepup", "https://gw.example/stepup/mcp/ops"),
            ("https://gw.example/mcp/ops", "https://gw.example/mcp/ops"),
        ] {
            assert_eq!(address(given, Some("ops")).ok().as_deref(), Some(made));
        }
        for given in [
            "https://gw.example/mcp/other",
            "https://gw.example/mcp",
            "https://gw.example/?x=",
            "https://gw.example#",
        ] {
            assert!(address(given, Some("ops")).is_err(), "{given}");
        }
        for given in ["http://127.0.0.1:7300", "http://127.0.0.1:7300/", "http://127.0.0.1:7300/mcp"] {
            assert_eq!(address(given, None).ok().as_deref(), Some("http://127.0.0.1:7300/mcp"));
        }
        assert!(address("https://gw.example/mcp/ops", None).is_err(), "one of them is not all");
        for name in ["", "../v1", "Ops", "a/b", "a?b", &"a".repeat(33)] {
            assert!(address("http://127.0.0.1:7300", Some(name)).is_err(), "{name:?}");
        }
    }
}
