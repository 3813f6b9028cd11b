//! What a caller is shown to exist. Being shown allows nothing, and not being shown forbids nothing: `decide`
//! never asks what was listed (T36).

use std::sync::Arc;

use audit::body;
use audit::record::Refs;
use store::{Commit, Failed};
use terms::{Caller, Digest, Json, Kind, Slug};

use crate::authority::Authority;
use crate::target::{Target, supposed};

/// One page of what a caller is shown.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Tools or prompts by name, each with the requirements that using it may need (B18).
    pub targets: Vec<(Arc<Target>, Vec<String>)>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// One page of the resources that a caller is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUris {
    /// The URIs, or the texts of templates.
    pub uris: Vec<String>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// What of the resources of an upstream is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resources {
    /// Resources, by URI.
    Named,
    /// Templates, by their text.
    Templates,
}

/// Resources that are judged in one go.
const AT_ONCE: usize = 64;

impl Authority {
    /// Lists what of one kind an upstream has that a caller may know of, by name, after `after`, at most `most`. One
    /// record a call, with the digest of the names shown.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot record it; [`Slug::StoreUnavailable`] when it refuses to.
    pub async fn list(
        &self,
        caller: &Caller,
        upstream: &str,
        kind: Kind,
        after: Option<&str>,
        most: usize,
    ) -> Result<Result<Listed, Slug>, Failed> {
        let mut targets = self.discover(caller, upstream, kind);
        targets.retain(|(target, _)| after.is_none_or(|after| target.name.as_str() > after));
        let more = targets.len() > most;
        targets.truncate(most);
        let what = match kind {
            Kind::Tool => "tools",
            Kind::Prompt => "prompts",
            Kind::Resource => "resources",
            Kind::Route => "routes",
            Kind::Operation => "operations",
            Kind::Installation => "parts",
        };
        let names = targets.iter().map(|(target, _)| target.name.as_str());
        let recorded = self.listed(caller, upstream, what, names).await?;
        Ok(recorded.map(|()| Listed { targets, more }))
    }

    /// Lists those of the resources, or of the templates, that an upstream has said it has, which a caller may know of:
    /// in the order of `uris`, which rises, after `after`, at most `most`. One record a call, likewise.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot record it; [`Slug::StoreUnavailable`] when it refuses to.
    pub async fn list_uris<'u>(
        &self,
        caller: &Caller,
        upstream: &str,
        (of, uris): (Resources, impl Iterator<Item = &'u String> + Send),
        after: Option<&str>,
        most: usize,
    ) -> Result<Result<ListedUris, Slug>, Failed> {
        let later = uris.filter(|uri| after.is_none_or(|after| uri.as_str() > after));
        let mut uris = Vec::new();
        for (n, uri) in later.enumerate() {
            // Who may know of few among many keeps nobody else waiting.
            if n % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            if self.seen(caller, Kind::Resource, upstream, uri).is_some() {
                uris.push(uri.clone());
            }
            if uris.len() > most {
                break;
            }
        }
        let more = uris.len() > most;
        uris.truncate(most);
        let what = match of {
            Resources::Named => "resources",
            Resources::Templates => "resource templates",
        };
        let recorded = self.listed(caller, upstream, what, uris.iter().map(String::as_str)).await?;
        Ok(recorded.map(|()| ListedUris { uris, more }))
    }

    async fn listed<'n>(
        &self,
        caller: &Caller,
        upstream: &str,
        what: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<Result<(), Slug>, Failed> {
        let names: Vec<Json> = names.map(Json::from).collect();
        let record = body::Listed {
            upstream: upstream.to_owned(),
            what: what.to_owned(),
            count: u32::try_from(names.len()).unwrap_or(u32::MAX),
            names: Digest::of("stepup/listed/v1\0", &[Json::Array(names).text().as_bytes()]),
        };
        let refs = Refs { caller: Some(caller.id), policy: Some(self.active().hash), ..Refs::default() };
        let commit = Commit { changes: Vec::new(), records: vec![self.record(refs, &record)] };
        Ok(self.commit(commit).await?.map(|_| ()).map_err(|_| Slug::StoreUnavailable))
    }

    /// What is named so, if this caller may know that it exists, whatever its state.
    #[must_use]
    pub fn seen(&self, caller: &Caller, kind: Kind, upstream: &str, name: &str) -> Option<Arc<Target>> {
        let active = self.active();
        let set = active.set.as_ref()?;
        let target = active.target(kind, upstream, name)?;
        let known =
            target.pin.state != store::PinState::Gone && set.may_discover(caller, &target.judged).yes();
        known.then_some(target)
    }

    /// Whether this caller could know of something of that name, were it there: of an upstream of which nothing was read yet, or by
    /// a URI that is none.
    #[must_use]
    pub fn could_see(&self, caller: &Caller, kind: Kind, upstream: &str, name: &str) -> bool {
        let active = self.active();
        let judged = supposed(kind, upstream, name, active.environment(upstream)).judged;
        active.set.as_ref().is_some_and(|set| set.may_discover(caller, &judged).yes())
    }
}
