//! One node, put together: keys, store, authority, desk. What `serve`, `demo` and the command line share.

use std::path::PathBuf;
use std::sync::Arc;

use audit::CheckpointKey;
use authority::{Authority, Settings};
use store::sqlite::{OpenError, Options, Sqlite};
use terms::{Ambient, Secret};

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
    Store(#[from] OpenError),
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
    /// The policy.
    #[error("{0}")]
    Policy(String),
}

/// Opens store and authority.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn open(config: Arc<Config>, ambient: Arc<dyn Ambient>, demo: bool) -> Result<Desk, StartError> {
    let keys = Keys::read(&config.keys)?;
    let options = Options { demo, keys: Some(keys.id()), ..Options::default() };
    let store = Arc::new(Sqlite::open(&config.store, Arc::clone(&ambient), &options)?);
    let authority = Authority::at_rest(store, ambient, settings(&config, demo), keys.seal).await?;
    let misnamed = authority.misnamed_passkeys();
    if let Some(one) = misnamed.first() {
        let (was, now) = (one.rp_id.clone(), config.people.rp_id.clone());
        return Err(StartError::Renamed { passkeys: misnamed.len(), was, now });
    }
    let desk = desk(config, authority, &keys.log_seed, demo)?;
    desk.authority.begin().await?;
    Ok(desk)
}

/// Revokes the passkeys that were made for another name of the people's page.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn retire_passkeys(config: Arc<Config>, ambient: Arc<dyn Ambient>) -> Result<usize, StartError> {
    let keys = Keys::read(&config.keys)?;
    let options = Options { keys: Some(keys.id()), ..Options::default() };
    let store = Arc::new(Sqlite::open(&config.store, Arc::clone(&ambient), &options)?);
    let authority = Authority::at_rest(store, ambient, settings(&config, false), keys.seal).await?;
    let desk = desk(config, authority, &keys.log_seed, false)?;
    desk.authority.begin().await?;
    Ok(desk.authority.retire_misnamed_passkeys(&desk.by).await?)
}

/// Opens them to be looked at: nothing starts, and nothing can be written.
///
/// # Errors
/// [`StartError`] says why not.
pub async fn look(config: Arc<Config>, ambient: Arc<dyn Ambient>) -> Result<Desk, StartError> {
    let keys = Keys::read(&config.keys)?;
    let options = Options { reads_only: true, keys: Some(keys.id()), ..Options::default() };
    let store = Arc::new(Sqlite::open(&config.store, Arc::clone(&ambient), &options)?);
    let authority = Authority::at_rest(store, ambient, settings(&config, false), keys.seal).await?;
    desk(config, authority, &keys.log_seed, false)
}

fn desk(
    config: Arc<Config>,
    authority: Arc<Authority>,
    log_seed: &Secret<[u8; 32]>,
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
    let signer = CheckpointKey::from_seed(&config.log.origin, log_seed.expose())?;
    let log_key = signer.verifier().to_string();
    let by = format!("os:{}", rustix::process::geteuid().as_raw());
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
        denied_per_minute: config.budgets.denied_per_minute,
        ceremony_for: terms::Millis::seconds(300),
        session: people.session,
        relying_party: passkey::RelyingParty { rp_id: people.rp_id.clone(), origins: origins.collect() },
        demo,
    }
}

/// The folders that no upstream's child may read or write.
#[must_use]
pub fn private(config: &Config) -> Vec<PathBuf> {
    let store = config.store.parent().map(std::path::Path::to_owned);
    let mut all = vec![config.keys.clone(), config.policy.dir.clone(), config.home.clone()];
    all.extend(store);
    all.sort();
    all.dedup();
    all
}

/// What the exit needs to know of each upstream.
///
/// # Errors
/// [`StartError`] when a credential cannot be read.
pub fn upstreams(config: &Config) -> Result<Vec<upstream::Config>, StartError> {
    let one = |(name, file): (&String, &crate::config::UpstreamFile)| {
        file.exit(name, &config.home)
            .map_err(|why| StartError::Upstreams(upstream::ConfigError { upstream: name.clone(), why }))
    };
    config.upstreams.iter().map(one).collect()
}
