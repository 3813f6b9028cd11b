//! One node, put together: keys, store, authority, desk. What `serve`, `demo` and the command line share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit::CheckpointKey;
use authority::{Authority, By, Settings};
use store::sqlite::{OpenError, Options, Sqlite};
use store::{Head, Store as _};
use terms::Ambient;

use crate::cli::Desk;
use crate::config::{Config, ConfigError};
use crate::keys::{Keys, KeysError};

/// Why a node does not start. Nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys.
    #[error("the keys cannot be used: {0}")]
    Keys(#[from] KeysError),
    /// The store.
    #[error("{0}")]
    Store(OpenError),
    /// The head of the log that is kept outside of the store.
    #[error("{0}\n  help: it was written by this stepup; bring it back, or see docs/how-it-fails.md")]
    Head(#[from] crate::head::HeadError),
    /// The store does not extend that head.
    #[error(
        "{because}\n  help: {path} was signed over more, or over something else. Bring back the store that it is of. \
         If you restored a backup on purpose, move that file away: the log then forks, grants and votes of the time \
         that is lost come back, and whoever kept a later head will see it"
    )]
    Behind {
        /// What the store found.
        because: OpenError,
        /// The file with the head.
        path: String,
    },
    /// A read or write of the store.
    #[error(transparent)]
    Failed(#[from] authority::Failed),
    /// The name of the log.
    #[error("[log] origin cannot be a name: {0}")]
    Origin(#[from] audit::NotANote),
    /// A demo's store in earnest, or the other way round.
    #[error("{0}")]
    Demo(&'static str),
    /// The people's page has another name than the one that passkeys were made for.
    #[error(
        "{} made for a people's page called {was}, and can sign nothing for one called {now}: \
         put [people] rp_id or public_url back, or revoke them once with `stepup serve --retire-passkeys` and \
         invite their people again with `stepup human invite NAME`",
        if *passkeys == 1 { "1 passkey was".to_owned() } else { format!("{passkeys} passkeys were") }
    )]
    Renamed {
        /// How many.
        passkeys: usize,
        /// The name that they were made for.
        was: String,
        /// The name that is configured.
        now: String,
    },
    /// Upstreams.
    #[error(transparent)]
    Upstreams(#[from] upstream::ConfigError),
    /// A listener or another resource of the system.
    #[error("{what}: {because}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        because: std::io::Error,
    },
    /// The certificate of a listener, or its key.
    #[error("[{0}] tls: {1}")]
    Tls(&'static str, crate::tls::TlsError),
    /// The policy.
    #[error("{0}")]
    Policy(String),
}

/// How a node is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// To work.
    Work,
    /// To play the demo.
    Demo,
    /// To be looked at.
    Look,
}

/// Opens store and authority, and writes down that they start.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn open(config: Arc<Config>, ambient: Arc<dyn Ambient>, demo: bool) -> Result<Desk, StartError> {
    let desk = ready(config, ambient, demo).await?;
    desk.authority.begin().await?;
    Ok(desk)
}

/// Opens them, ready to start: nothing is written before [`Authority::begin`], with which the log says that they do.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn ready(config: Arc<Config>, ambient: Arc<dyn Ambient>, demo: bool) -> Result<Desk, StartError> {
    let desk = at_rest(config, ambient, if demo { To::Demo } else { To::Work }).await?;
    let misnamed = desk.authority.misnamed_passkeys();
    if let Some(one) = misnamed.first() {
        let (was, now) = (one.rp_id.clone(), desk.config.people.rp_id.clone());
        return Err(StartError::Renamed { passkeys: misnamed.len(), was, now });
    }
    Ok(desk)
}

/// Revokes the passkeys that were made for another name of the people's page.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn retire_passkeys(config: Arc<Config>, ambient: Arc<dyn Ambient>) -> Result<usize, StartError> {
    let desk = at_rest(config, ambient, To::Work).await?;
    desk.authority.begin().await?;
    Ok(desk.authority.retire_misnamed_passkeys(&desk.by.to_string()).await?)
}

/// Opens them to be looked at: nothing starts, and nothing can be written.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn look(config: Arc<Config>, ambient: Arc<dyn Ambient>) -> Result<Desk, StartError> {
    at_rest(config, ambient, To::Look).await
}

async fn at_rest(config: Arc<Config>, ambient: Arc<dyn Ambient>, to: To) -> Result<Desk, StartError> {
    let keys = Keys::read(&config.keys)?;
    let signer = CheckpointKey::from_seed(&config.log.origin, keys.log_seed.expose())?;
    let kept = config.keys.join(crate::head::NAME);
    let head = crate::head::read(&kept, signer.verifier());
    let anchor = head.as_ref().ok().and_then(Option::as_ref).map(|checkpoint| checkpoint.head);
    let options = Options {
        demo: to == To::Demo,
        reads_only: to == To::Look,
        keys: Some(keys.id()),
        anchor: anchor.map(|head| Head { size: head.size, root: head.root }),
        ..Options::default()
    };
    let opened = Sqlite::open(&config.store, Arc::clone(&ambient), &options);
    let store = Arc::new(opened.map_err(|because| refused(because, &kept, anchor.is_some()))?);
    // Of other keys the store tells first: then this head is another's too.
    if head?.is_none() && store.last_checkpoint().await?.is_some() {
        let path = kept.display();
        tracing::warn!(%path, "there is no head of the log outside of the store: an old copy of it would not be noticed");
    }
    let authority = Authority::at_rest(store, ambient, settings(&config, to == To::Demo), keys.seal).await?;
    desk(config, authority, signer, to == To::Demo)
}

fn refused(because: OpenError, kept: &Path, anchored: bool) -> StartError {
    let behind = matches!(because, OpenError::Behind { .. } | OpenError::Damaged);
    if anchored && behind {
        StartError::Behind { because, path: kept.display().to_string() }
    } else {
        StartError::Store(because)
    }
}

fn desk(
    config: Arc<Config>,
    authority: Arc<Authority>,
    signer: CheckpointKey,
    demo: bool,
) -> Result<Desk, StartError> {
    match (authority.active().demo(), demo) {
        (true, false) => {
            return Err(StartError::Demo(
                "this is a demo's store: its software authenticator could approve anything",
            ));
        }
        (false, true) => {
            return Err(StartError::Demo("this is a real store: the demo only plays with its own"));
        }
        (true, true) | (false, false) => {}
    }
    let log_key = signer.verifier().to_string();
    let by = By::account(rustix::process::geteuid().as_raw());
    Ok(Desk { authority, config, signer: Arc::new(signer), log_key, by })
}

fn settings(config: &Config, demo: bool) -> Settings {
    let people = &config.people;
    let origins = std::iter::once(people.listener.public_url.clone()).chain(people.listener.origins.clone());
    Settings {
        node: "node-1".to_owned(),
        permit_for: config.challenge.permit_for,
        cool_down: config.challenge.cool_down,
        answer_for: config.challenge.answer_for,
        pending_per_caller: config.budgets.pending,
        pending_per_root: config.budgets.owner_pending,
        denied_per_minute: config.budgets.denied_per_minute,
        ceremony_for: terms::Millis::seconds(300),
        session: people.session,
        relying_party: passkey::RelyingParty { rp_id: people.rp_id.clone(), origins: origins.collect() },
        demo,
    }
}

/// What no upstream's child may read or write: our folders, and the files of the other upstreams' secrets and of its own.
#[must_use]
pub fn private(config: &Config) -> Vec<PathBuf> {
    let store = config.store.parent().map(std::path::Path::to_owned);
    let mut all = vec![config.keys.clone(), config.policy.dir.clone(), config.home.clone()];
    all.extend(store);
    all.extend(config.upstreams.values().flat_map(|upstream| upstream.secret_files(&config.home)));
    all.extend(config.notify.secret_files(&config.home));
    all.extend(config.tls().flat_map(|(_, tls, _)| tls.private()));
    all.sort();
    all.dedup();
    all
}

/// What the exit needs to know of each upstream that speaks MCP.
///
/// # Errors
/// [`StartError`] when a credential cannot be read.
pub fn upstreams(config: &Config) -> Result<Vec<upstream::Config>, StartError> {
    let one = |(name, file): (&String, &crate::config::UpstreamFile)| {
        file.exit(name, &config.home)
            .map_err(|why| StartError::Upstreams(upstream::ConfigError { upstream: name.clone(), why }))
    };
    let speak = config.upstreams.iter().filter(|(_, file)| !file.is_api() && !file.is_application());
    speak.map(one).collect()
}

/// The same of each HTTP API.
///
/// # Errors
/// [`StartError`] when a credential cannot be read, or an address cannot be one.
pub fn apis(config: &Config, ambient: &Arc<dyn Ambient>) -> Result<Arc<upstream::Apis>, StartError> {
    let one = |(name, file): (&String, &crate::config::UpstreamFile)| {
        file.api(name, &config.home)
            .map_err(|why| StartError::Upstreams(upstream::ConfigError { upstream: name.clone(), why }))
    };
    let apis = config.upstreams.iter().filter(|(_, file)| file.is_api() && file.url.is_some()).map(one);
    Ok(upstream::Apis::new(apis.collect::<Result<_, _>>()?, ambient)?)
}
