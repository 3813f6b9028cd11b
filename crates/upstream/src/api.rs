//! HTTP APIs: where each is, what it is, and how a request to it is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use terms::{Ambient, Digest, Json, UpstreamHash};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::answer::Fault;
use crate::config::{ConfigError, Http, Timeouts};
use crate::identity::of_http;
use crate::transport::http::Endpoint;
use crate::upstreams::Unreachable;

/// One HTTP API as the operator configures it.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Its name, `[a-z0-9-]{1,32}`.
    pub name: String,
    /// Where it is: what stands before the paths of its routes. And what we authenticate with there.
    pub http: Http,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// Every configured HTTP API.
#[derive(Default)]
pub struct Apis(BTreeMap<String, Arc<Api>>);

/// One HTTP API, and connections to it.
pub struct Api {
    name: String,
    identity: UpstreamHash,
    configured: Digest,
    /// What stands before the paths of routes, without a slash at the end.
    base: String,
    pub(crate) endpoint: Arc<Endpoint>,
    /// Held by whoever makes a new credential for it.
    renewing: Arc<Mutex<()>>,
}

/// A connection to an API on which one request can be written. Dropped unused, it is kept for another.
pub struct Line {
    api: Arc<Api>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    /// Where it leads, and the connection.
    pub(crate) fn take(mut self) -> (Arc<Api>, Option<SendRequest<Full<Bytes>>>) {
        (Arc::clone(&self.api), self.connection.take())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.api.endpoint.keep(connection);
        }
    }
}

impl Apis {
    /// Takes the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] for a configuration that could not work.
    pub fn new(configs: Vec<ApiConfig>, ambient: &Arc<dyn Ambient>) -> Result<Arc<Self>, ConfigError> {
        let mut apis = BTreeMap::new();
        for ApiConfig { name, http, timeouts } in configs {
            let error = |why: String| ConfigError { upstream: name.clone(), why };
            let endpoint = Endpoint::new(&http, timeouts, Arc::clone(ambient)).map_err(error)?;
            let base = endpoint.path().trim_end_matches('/').to_owned();
            if base.contains('?') {
                return Err(error(
                    "the url of an API ends with its path: routes have the queries".to_owned(),
                ));
            }
            let identity = UpstreamHash::of(&Json::object([
                ("name", Json::from(name.as_str())),
                ("api", of_http(&http)),
            ]));
            let configured =
                authority::configured(http.credential.as_ref().map(|credential| &credential.value));
            let api = Api {
                name: name.clone(),
                identity,
                configured,
                base,
                endpoint: Arc::new(endpoint),
                renewing: Arc::default(),
            };
            if apis.insert(name.clone(), Arc::new(api)).is_some() {
                return Err(error("it is configured twice".to_owned()));
            }
        }
        Ok(Arc::new(Self(apis)))
    }

    /// The API of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Api>> {
        self.0.get(name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Api>> {
        self.0.values()
    }
}

impl Api {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is: every access to it names this (T19).
    #[must_use]
    pub const fn identity(&self) -> UpstreamHash {
        self.identity
    }

    /// Tells the credential that is configured for it from every other.
    #[must_use]
    pub const fn configured(&self) -> Digest {
        self.configured
    }

    /// Waits until nobody else makes a new credential for it: of two at once nobody could say which is the newer one.
    pub async fn renewing(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.renewing).lock_owned().await
    }

    /// A connection to it: a fresh enough unused one, or a new one.
    ///
    /// # Errors
    /// [`Unreachable`] where there is none within the time to connect.
    pub async fn line(self: Arc<Self>) -> Result<Line, Unreachable> {
        let connection = self.endpoint.connection().await;
        let connection = connection.map_err(|_| Unreachable::Fault(Fault::Unreachable))?;
        Ok(Line { api: self, connection: Some(connection) })
    }

    /// What stands before the paths of routes, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The path that a caller has, for an address of this API; `None` for another's.
    #[must_use]
    pub fn path_of<'l>(&self, location: &'l str) -> Option<&'l str> {
        let path = match location.split_once("://") {
            Some((_, rest)) => {
                let at = rest.find('/').unwrap_or(rest.len());
                let (authority, path) = rest.split_at(at);
                (location.len() > rest.len() && authority.eq_ignore_ascii_case(self.endpoint.authority()))
                    .then_some(path)?
            }
            None => location.strip_prefix('/').filter(|rest| !rest.starts_with('/')).map(|_| location)?,
        };
        path.strip_prefix(self.base.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
