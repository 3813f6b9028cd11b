//! What a caller is shown to exist. Being shown allows nothing, and not being shown forbids nothing: `decide`
//! never asks what was listed (T36).

use std::sync::Arc;

use audit::body;
use audit::record::Refs;
use store::{Commit, Failed};
use terms::{Caller, Digest, Json, Slug};

use crate::active::Tool;
use crate::authority::Authority;

/// One page of what a caller is shown.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The tools by name, each with the requirements that calling it may need (B18).
    pub tools: Vec<(Arc<Tool>, Vec<String>)>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Authority {
    /// Lists the tools of an upstream that a caller may know of, by name, after `after`, at most `most`. One
    /// record a call, with the digest of the names shown.
    ///
    /// # Errors
    /// [`Failed`] when the store cannot record it; [`Slug::StoreUnavailable`] when it refuses to.
    pub async fn list(
        &self,
        caller: &Caller,
        upstream: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Result<Listed, Slug>, Failed> {
        let mut tools = self.discover(caller, upstream);
        tools.retain(|(tool, _)| after.is_none_or(|after| tool.name.as_str() > after));
        let more = tools.len() > most;
        tools.truncate(most);
        let names: Vec<Json> = tools.iter().map(|(tool, _)| Json::from(tool.name.as_str())).collect();
        let record = body::Listed {
            upstream: upstream.to_owned(),
            what: "tools".to_owned(),
            count: u32::try_from(tools.len()).unwrap_or(u32::MAX),
            names: Digest::of("stepup/listed/v1\0", &[Json::Array(names).text().as_bytes()]),
        };
        let refs = Refs { caller: Some(caller.id), policy: Some(self.active().hash), ..Refs::default() };
        let commit = Commit { changes: Vec::new(), records: vec![self.record(refs, &record)] };
        let recorded = self.commit(commit).await?;
        Ok(recorded.map(|_| Listed { tools, more }).map_err(|_| Slug::StoreUnavailable))
    }

    /// The tool of that name, if this caller may know that it exists, whatever its state.
    #[must_use]
    pub fn seen(&self, caller: &Caller, upstream: &str, name: &str) -> Option<Arc<Tool>> {
        let active = self.active();
        let set = active.set.as_ref()?;
        let tool = active.tool(upstream, name)?;
        let known = tool.pin.state != store::PinState::Gone && set.may_discover(caller, &tool.judged).yes();
        known.then_some(tool)
    }
}
