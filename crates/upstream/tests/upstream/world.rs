//! A node in small: store, authority with a policy that permits, and upstreams.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use authority::{Added, Ask, Authority, Bundle, NewCaller, Ruling, Settings, Upstream};
use elevation::Outcome;
use terms::access::{Resource, SealKey};
use terms::{Access, Ambient, Boottime, Caller, CallerKind, Json, Millis, Pointer, Seam, Time};
use upstream::{
    Along, Answer, Config, Eras, Fault, Forwarded, Http, Isolation, SessionKey, Share, Stdio, Timeouts,
    Transport, Upstreams, forward,
};

/// The machine's clock, and every seam that was passed.
#[derive(Default)]
pub struct Machine {
    pub seams: Mutex<Vec<Seam>>,
}

impl Ambient for Machine {
    fn now(&self) -> Time {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Time::from_millis(now.tv_sec * 1000 + now.tv_nsec / 1_000_000)
    }

    fn boottime(&self) -> Boottime {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Boottime::from_nanos(u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap())
    }

    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }

    fn seam(&self, seam: Seam) {
        self.seams.lock().unwrap().push(seam);
    }
}

pub struct World {
    pub authority: Arc<Authority>,
    pub upstreams: Arc<Upstreams>,
    pub machine: Arc<Machine>,
    pub folder: tempfile::TempDir,
    caller: Arc<Caller>,
}

/// One downstream session.
pub fn session(n: u8) -> SessionKey {
    SessionKey::new([n; 32])
}

pub const SOON: Millis = Millis::seconds(20);

/// The launcher that cargo builds beside the tests.
pub fn launcher() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/launcher");
    assert!(path.exists(), "run all targets of the crate: {} is missing", path.display());
    path
}

/// The hostile child, without isolation.
pub fn hostile(words: &[&str]) -> Config {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upstream/hostile.py");
    let mut command = vec!["python3".to_owned(), script.display().to_string()];
    command.extend(words.iter().map(|word| (*word).to_owned()));
    stdio(Stdio { command, isolation: Isolation::None, ..Stdio::default() })
}

pub fn stdio(stdio: Stdio) -> Config {
    config(Transport::Stdio(stdio))
}

/// The same upstream, in another era.
pub fn in_era(era: Eras, config: Config) -> Config {
    Config { era, ..config }
}

pub fn http(url: &str) -> Config {
    config(Transport::Http(Http { url: url.to_owned(), credential: None }))
}

fn config(transport: Transport) -> Config {
    let timeouts = Timeouts {
        start: Millis::seconds(15),
        probe: Millis::seconds(10),
        connect: Millis::seconds(2),
        relist: Millis::seconds(60),
        idle: Millis::seconds(600),
        close: Millis::new(500),
    };
    // What most tests are about begins with `initialize`; those that are about the era say which.
    let (era, share) = (Eras::Legacy, Share::Session);
    Config {
        name: "ops".to_owned(),
        transport,
        era,
        share,
        asks: terms::Abilities::default(),
        meta: BTreeSet::new(),
        timeouts,
    }
}

impl World {
    pub async fn new(configs: Vec<Config>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Arc::new(Machine::default());
        let ambient: Arc<dyn Ambient> = Arc::clone(&machine) as Arc<dyn Ambient>;
        let keys = folder.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let upstreams = Upstreams::new(configs, Arc::clone(&ambient), &[keys], launcher()).unwrap();
        let (authority, caller) = permissive(folder.path(), ambient).await;
        Self { authority, upstreams, machine, folder, caller }
    }

    /// Pins tools of these names, unseen, and attaches the upstream as it is now.
    pub async fn pin(&self, names: &[&str]) {
        let definitions = names.iter().map(|name| {
            Json::object([
                ("name", Json::from(*name)),
                ("inputSchema", Json::object([("type", Json::from("object"))])),
            ])
        });
        self.attach("ops").await;
        self.authority.observe("ops", definitions.collect::<Vec<_>>()).await.unwrap();
    }

    /// Pins one tool with this schema, unseen.
    pub async fn pin_schema(&self, name: &str, schema: &str) {
        let schema = terms::json::parse(schema.as_bytes()).unwrap();
        let definition = Json::object([("name", Json::from(name)), ("inputSchema", schema)]);
        self.attach("ops").await;
        self.authority.observe("ops", vec![definition]).await.unwrap();
    }

    /// Pins what the upstream says.
    pub async fn pin_all(&self, upstream: &str) -> Vec<String> {
        self.attach(upstream).await;
        let tools = self.upstreams.list_tools(upstream).await.unwrap();
        let names = tools.iter().map(|tool| tool.name.clone()).collect();
        let definitions: Vec<_> = tools.into_iter().map(|tool| tool.definition).collect();
        self.authority.observe(upstream, definitions).await.unwrap();
        names
    }

    pub async fn attach(&self, upstream: &str) {
        let identity = self.upstreams.identity(upstream).await.unwrap();
        self.authority.attach(Upstream { name: upstream.to_owned(), identity });
    }

    pub async fn permit(&self, upstream: &str, tool: &str, arguments: Json) -> authority::Permit {
        self.permit_sealing(upstream, tool, arguments, &[]).await
    }

    pub async fn permit_sealing(
        &self,
        upstream: &str,
        tool: &str,
        arguments: Json,
        secrets: &[Pointer],
    ) -> authority::Permit {
        let resource = Resource {
            kind: "tool".to_owned(),
            id: format!("{upstream}/{tool}"),
            definition: self.authority.active().tool(upstream, tool).expect(tool).pin.digest,
            upstream: self.authority.upstream(upstream).unwrap().identity,
        };
        let key = self.authority.seal_key();
        let subject = self.caller.subject();
        let made = Access::new(subject, "tools/call", resource, arguments, secrets, key).unwrap();
        self.permit_for(made).await
    }

    /// A permit for what a client answers a call that runs.
    pub async fn permit_answer(
        &self,
        tool: &str,
        of: terms::AttemptId,
        inputs: terms::json::Object,
    ) -> authority::Permit {
        let resource = Resource {
            kind: "tool".to_owned(),
            id: format!("ops/{tool}"),
            definition: self.authority.active().tool("ops", tool).unwrap().pin.digest,
            upstream: self.authority.upstream("ops").unwrap().identity,
        };
        let (subject, key) = (self.caller.subject(), self.authority.seal_key());
        let (access, secrets) = Access::new(subject, "tools/call", resource, none(), &[], key).unwrap();
        let continuation =
            terms::Continuation { of, round: 1, asked: terms::json::Object::new(), inputs, state: None };
        self.permit_for(access.continuing(secrets, continuation, key).unwrap()).await
    }

    async fn permit_for(&self, (access, secrets): (Access, terms::Secrets)) -> authority::Permit {
        let ask = Ask {
            caller: Arc::clone(&self.caller),
            access,
            secrets,
            source: "127.0.0.1".to_owned(),
            purpose: None,
            ticket: None,
            once: None,
        };
        match self.authority.decide(&ask).await.unwrap() {
            Ruling::Permitted(permit) => permit,
            Ruling::Challenged(_) => panic!("challenged"),
            Ruling::Denied(denial) => panic!("{denial:?}"),
        }
    }

    /// A permit for something that is no call of a tool; prompts are pinned, unseen.
    pub async fn permit_to(
        &self,
        kind: terms::Kind,
        name: &str,
        action: &str,
        arguments: Json,
    ) -> authority::Permit {
        self.attach("ops").await;
        if kind == terms::Kind::Prompt {
            let prompts = Some(vec![Json::object([("name", name)])]);
            self.authority.observe("ops", authority::Stated { tools: Vec::new(), prompts }).await.unwrap();
        }
        let target = self.authority.active().target(kind, "ops", name).unwrap();
        let resource = Resource {
            kind: kind.name().to_owned(),
            id: target.id(),
            definition: target.pin.digest,
            upstream: self.authority.upstream("ops").unwrap().identity,
        };
        let (subject, key) = (self.caller.subject(), self.authority.seal_key());
        let (access, secrets) = Access::new(subject, action, resource, arguments, &[], key).unwrap();
        let (caller, source) = (Arc::clone(&self.caller), "127.0.0.1".to_owned());
        let ask = Ask { caller, access, secrets, source, purpose: None, ticket: None, once: None };
        match self.authority.decide(&ask).await.unwrap() {
            Ruling::Permitted(permit) => permit,
            other @ (Ruling::Challenged(_) | Ruling::Denied(_)) => panic!("{other:?}"),
        }
    }

    /// One call over the link of one session.
    pub async fn call_in(&self, n: u8, tool: &str, arguments: Json, within: Millis) -> Forwarded {
        let link = self.upstreams.link("ops", session(n)).await.unwrap();
        let permit = self.permit("ops", tool, arguments).await;
        forward(permit, &link, self.along(tool), within).await
    }

    /// The tool with its pinned definition, as whoever forwards a call hands it over.
    pub fn along(&self, tool: &str) -> Along {
        Along { tool: self.authority.active().tool("ops", tool), ..Along::default() }
    }

    pub async fn call(&self, tool: &str, arguments: Json) -> Forwarded {
        self.call_in(1, tool, arguments, SOON).await
    }

    /// The text of the first content of a call's result.
    pub async fn text(&self, tool: &str, arguments: Json) -> String {
        text(&self.call(tool, arguments).await)
    }

    pub async fn json(&self, tool: &str, arguments: Json) -> serde_json::Value {
        serde_json::from_str(&self.text(tool, arguments).await).unwrap()
    }

    pub fn upstream_seams(&self) -> Vec<Seam> {
        let seams = self.machine.seams.lock().unwrap();
        let ours = [Seam::UpstreamSend, Seam::UpstreamSent, Seam::UpstreamAnswered];
        seams.iter().filter(|seam| ours.contains(seam)).copied().collect()
    }
}

pub fn none() -> Json {
    Json::object::<&str, Json>([])
}

/// What a result says, read as any client would read it.
pub fn value(forwarded: &Forwarded) -> serde_json::Value {
    match &forwarded.answer {
        Ok(Answer::Result { result, .. }) => serde_json::from_str(result.text()).unwrap(),
        other => panic!("{other:?}"),
    }
}

pub fn text(forwarded: &Forwarded) -> String {
    value(forwarded)["content"][0]["text"].as_str().unwrap().to_owned()
}

/// There is no answer, and this is why, and this is how the attempt ended.
#[track_caller]
pub fn ended(forwarded: &Forwarded, fault: Fault, outcome: Outcome) {
    assert_eq!(
        (forwarded.answer.as_ref().err(), forwarded.outcome),
        (Some(&fault), outcome),
        "{forwarded:?}"
    );
    assert!(forwarded.settlement.is_some() || matches!(fault, Fault::Stale(_)), "nobody can settle it");
}

async fn permissive(folder: &Path, ambient: Arc<dyn Ambient>) -> (Arc<Authority>, Arc<Caller>) {
    let path = folder.join("stepup.db");
    let options = store::sqlite::Options { reserve: 64 << 10, ..store::sqlite::Options::default() };
    let store = store::sqlite::Sqlite::open(&path, Arc::clone(&ambient), &options).unwrap();
    let settings = Settings {
        node: "test".to_owned(),
        permit_for: Millis::seconds(5),
        cool_down: Millis::seconds(600),
        answer_for: Millis::seconds(600),
        pending_per_caller: 20,
        pending_per_root: 50,
        denied_per_minute: 10,
        ceremony_for: Millis::seconds(300),
        session: Millis::seconds(3600),
        relying_party: passkey::RelyingParty { rp_id: "localhost".to_owned(), origins: Vec::new() },
        demo: false,
    };
    let authority =
        Authority::at_rest(Arc::new(store), ambient, settings, SealKey::new([7; 32])).await.unwrap();
    authority.begin().await.unwrap();
    let permits = "@id(\"all\") permit(principal, action, resource);".to_owned();
    let bundle = Bundle { texts: BTreeMap::from([("all.cedar".to_owned(), permits)]), ..Bundle::default() };
    assert_eq!(
        authority.activate(&bundle, &authority::By::account(0)).await.unwrap(),
        authority::Activated::Done
    );
    let Added::Done(_) = authority.add_human("alice", &[], &authority::By::account(0)).await.unwrap() else {
        panic!()
    };
    let new = NewCaller {
        name: "bot".to_owned(),
        kind: CallerKind::Agent,
        owner: "alice".to_owned(),
        groups: Vec::new(),
        act: Vec::new(),
    };
    let Added::Done((id, _)) = authority.add_caller(&new, &authority::By::account(0)).await.unwrap() else {
        panic!()
    };
    let caller = authority.active().authenticated(id).unwrap();
    (authority, caller.into())
}

/// Waits until something is so, 5 seconds at most.
pub async fn becomes(what: &str, so: impl Fn() -> bool) {
    for _ in 0..500 {
        if so() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

pub fn process_exists(pid: i64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

pub fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}
