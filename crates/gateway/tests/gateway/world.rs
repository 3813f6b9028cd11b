//! A node in small: store, authority, people with passkeys, callers with keys, an upstream, and the listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use authority::{
    Added, Authority, Bundle, NewCaller, SignedAssertion, ToolSettings, UpstreamSettings, Voted,
};
use aws_lc_rs::rand::SystemRandom;
use gateway::{Gateway, Settings};
use passkey::{RelyingParty, SoftAuthenticator};
use serde_json::{Value, json};
use store::sqlite::{Options, Sqlite};
use terms::access::SealKey;
use terms::hash::{b64url, from_b64url};
use terms::{
    Ambient, Binds, Boottime, CallerKind, ElevationId, HumanId, Millis, Requirement, Seam, Terms, Time, Tree,
};
use upstream::{ApiConfig, Apis, Config, Eras, Http, Share, Timeouts, Transport, Upstreams};

use crate::ops::Ops;
use crate::wire::{self, Open, Reply};

const ORIGIN: &str = "http://localhost:7301";

pub const RULES: &str = r#"
@id("administer") permit (principal is Human, action == Action::"administer", resource);
@id("work") permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"], resource);
@id("hide") forbid (principal, action == Action::"discover", resource == Tool::"ops/hidden");
@id("not-hidden") forbid (principal, action == Action::"tools/call:ops/hidden", resource);
@id("not-destroy") forbid (principal, action == Action::"tools/call:ops/destroy", resource);
@id("deploy") @stepup("release") forbid (principal, action == Action::"tools/call:ops/deploy", resource)
unless { context.arguments has environment && ["staging", "test"].contains(context.arguments.environment) };
@id("secret") @stepup("release") forbid (principal, action == Action::"tools/call:ops/set_secret", resource);
@id("restore") @stepup("told") forbid (principal, action == Action::"tools/call:ops/restore", resource);
@id("slow") @stepup("release") forbid (principal, action == Action::"tools/call:ops/slow_deploy", resource);
@id("steps") @stepup("release") forbid (principal, action == Action::"tools/call:ops/steps_deploy", resource);
@id("die") @stepup("release") forbid (principal, action == Action::"tools/call:ops/die_deploy", resource);
@id("typed") @stepup("release") forbid (principal, action == Action::"tools/call:ops/typed", resource);
"#;

/// The machine's clock, with a trap: a bug in whoever comes there next.
#[derive(Default)]
pub struct Machine(Mutex<Option<Trap>>);

/// Where a trap is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trap {
    Random,
    Seam(Seam),
}

impl Machine {
    /// Whoever comes there next panics; nobody after that.
    pub fn trap(&self, at: Trap) {
        *self.0.lock().unwrap() = Some(at);
    }

    fn pass(&self, at: Trap) {
        let mut trap = self.0.lock().unwrap();
        if *trap == Some(at) {
            *trap = None;
            drop(trap);
            panic!("a trap: {at:?}");
        }
    }
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

    fn seam(&self, seam: Seam) {
        self.pass(Trap::Seam(seam));
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.pass(Trap::Random);
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

pub struct World {
    pub authority: Arc<Authority>,
    pub gateway: Gateway,
    pub ops: Ops,
    pub at: SocketAddr,
    pub folder: tempfile::TempDir,
    pub machine: Arc<Machine>,
    keys: BTreeMap<String, String>,
    /// `ann`, who may approve.
    pub ann: HumanId,
    authenticator: Mutex<SoftAuthenticator>,
}

/// A caller's session, ready to call.
#[derive(Clone)]
pub struct Session<'w> {
    pub world: &'w World,
    pub key: String,
    pub id: String,
    /// What its client wants to speak, and then what is spoken.
    pub revision: String,
    /// Where it is.
    pub path: &'static str,
}

fn requirement(name: &str, tree: Tree) -> (String, Requirement) {
    let terms = Terms {
        pending_for: Millis::seconds(900),
        valid_for: Millis::seconds(900),
        uses: NonZeroU32::new(1).unwrap(),
        binds: Binds::Everything,
    };
    (name.to_owned(), Requirement { parts: BTreeMap::from([(name.to_owned(), tree)]), terms })
}

pub fn bundle(rules: &str) -> Bundle {
    let one = || Tree::Approvals { n: NonZeroU8::new(1).unwrap(), from: "managers".to_owned() };
    let ticket = Tree::Ticket { pattern: "OPS-[0-9]+".to_owned() };
    let secrets = vec!["/value".parse().unwrap()];
    let tools =
        BTreeMap::from([("set_secret".to_owned(), ToolSettings { secrets, ..ToolSettings::default() })]);
    let ops = UpstreamSettings { tools, ..UpstreamSettings::default() };
    Bundle {
        texts: BTreeMap::from([("rules.cedar".to_owned(), rules.to_owned())]),
        requirements: BTreeMap::from([
            requirement("release", one()),
            requirement("told", Tree::All(vec![one(), Tree::Purpose, ticket])),
        ]),
        upstreams: BTreeMap::from([("ops".to_owned(), ops)]),
    }
}

async fn authority(folder: &std::path::Path, ambient: Arc<dyn Ambient>) -> Arc<Authority> {
    let options = Options { reserve: 1 << 16, demo: true, ..Options::default() };
    let store = Sqlite::open(&folder.join("stepup.db"), Arc::clone(&ambient), &options).unwrap();
    let settings = authority::Settings {
        node: "test".to_owned(),
        permit_for: Millis::seconds(5),
        cool_down: Millis::seconds(600),
        answer_for: Millis::seconds(600),
        pending_per_caller: 20,
        pending_per_root: 50,
        denied_per_minute: 1000,
        ceremony_for: Millis::seconds(300),
        session: Millis::seconds(3600),
        relying_party: RelyingParty { rp_id: "localhost".to_owned(), origins: vec![ORIGIN.to_owned()] },
        demo: true, // the software authenticator is the demo's
    };
    let authority =
        Authority::at_rest(Arc::new(store), ambient, settings, SealKey::new([7; 32])).await.unwrap();
    authority.begin().await.unwrap();
    authority
}

impl World {
    pub async fn new() -> Self {
        Self::with(RULES, |_| {}).await
    }

    /// olga owns `bot` and `spy`, which are agents; ann is a manager.
    pub async fn with(rules: &str, settle: impl FnOnce(&mut Settings)) -> Self {
        Self::configured(rules, settle, |_| {}).await
    }

    /// The same with an upstream that is configured otherwise.
    pub async fn configured(
        rules: &str,
        settle: impl FnOnce(&mut Settings),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::upon(Ops::start().await, rules, settle, configure).await
    }

    /// The same with this upstream.
    pub async fn upon(
        ops: Ops,
        rules: &str,
        settle: impl FnOnce(&mut Settings),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::among(ops, &[], rules, settle, configure).await
    }

    /// The same with these beside it, by name and address. Not all of them need be there.
    pub async fn among(
        ops: Ops,
        others: &[(&str, &str)],
        rules: &str,
        settle: impl FnOnce(&mut Settings),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::before((ops, others, Vec::new()), bundle(rules), settle, configure).await
    }

    /// The same with these HTTP APIs, whose routes are in the bundle.
    pub async fn before(
        (ops, others, apis): (Ops, &[(&str, &str)], Vec<ApiConfig>),
        bundle: Bundle,
        settle: impl FnOnce(&mut Settings),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let machine = Arc::new(Machine::default());
        let ambient: Arc<dyn Ambient> = Arc::clone(&machine) as Arc<dyn Ambient>;
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            name: "ops".to_owned(),
            transport: Transport::Http(Http { url: ops.url.clone(), credential: None }),
            era: Eras::Legacy,
            share: Share::Session,
            asks: terms::Abilities { form: true, sampling: true, ..terms::Abilities::default() },
            meta: ["x.y/id", "x.y/mode", "x.y/z"].map(str::to_owned).into(),
            timeouts: Timeouts { connect: Millis::seconds(2), ..Timeouts::default() },
        };
        let beside = |(name, url): &(&str, &str)| Config {
            name: (*name).to_owned(),
            transport: Transport::Http(Http { url: (*url).to_owned(), credential: None }),
            ..config.clone()
        };
        let mut all: Vec<Config> = others.iter().map(beside).collect();
        configure(&mut config);
        all.push(config);
        let upstreams = Upstreams::new(all, Arc::clone(&ambient), &[], PathBuf::new()).unwrap();
        let apis = Apis::new(apis, &ambient).unwrap();
        let authority = authority(folder.path(), ambient).await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(2048).unwrap();
        let at = listener.local_addr().unwrap();
        let mut settings = Settings::at(&format!("http://{at}"), ORIGIN);
        settings.hold = Millis::seconds(20);
        settle(&mut settings);
        let gateway = Gateway::new(Arc::clone(&authority), (upstreams, apis), settings);
        let app = gateway.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        gateway.repin("ops").await.unwrap();
        for (name, _) in others {
            // One that is not there stays unknown.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), gateway.repin(name)).await;
        }
        let authenticator = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
        let ann = person(&authority, "ann", &["managers"], &authenticator).await;
        person(&authority, "olga", &[], &SoftAuthenticator::new(&SystemRandom::new()).unwrap()).await;
        let mut world = Self {
            authority,
            gateway,
            ops,
            at,
            folder,
            machine,
            keys: BTreeMap::new(),
            ann,
            authenticator: Mutex::new(authenticator),
        };
        for name in ["bot", "spy"] {
            world.caller(name).await;
        }
        // Last, as not all of these rules let anybody add people and callers.
        let activated = world.authority.activate(&bundle, &authority::By::account(0)).await.unwrap();
        assert_eq!(activated, authority::Activated::Done);
        world
    }

    async fn caller(&mut self, name: &str) {
        let new = NewCaller {
            name: name.to_owned(),
            kind: CallerKind::Agent,
            owner: "olga".to_owned(),
            groups: vec!["ops-agents".to_owned()],
            act: Vec::new(),
        };
        let Added::Done((_, key)) =
            self.authority.add_caller(&new, &authority::By::account(0)).await.unwrap()
        else {
            panic!()
        };
        self.keys.insert(name.to_owned(), key.key.expose().clone());
    }

    pub fn key(&self, caller: &str) -> String {
        self.keys[caller].clone()
    }

    /// One request with these headers beside Host and the length.
    pub fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.at));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if length > 0 || method == "POST" {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head + "\r\n"
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let head = self.head(method, path, headers, body.len());
        wire::send(self.at, &head, body.as_bytes()).await
    }

    /// A session of a caller with the upstream.
    pub async fn session(&self, caller: &str) -> Session<'_> {
        self.session_of(caller, "2025-11-25").await
    }

    /// A session whose client wants to speak this revision.
    pub async fn session_of(&self, caller: &str, revision: &str) -> Session<'_> {
        self.session_who_can(caller, revision, json!({})).await
    }

    /// A session whose client says that it can do this.
    pub async fn session_who_can(&self, caller: &str, revision: &str, can: Value) -> Session<'_> {
        self.session_at("/mcp/ops", caller, revision, can).await
    }

    /// The same at an address.
    pub async fn session_at(
        &self,
        path: &'static str,
        caller: &str,
        revision: &str,
        can: Value,
    ) -> Session<'_> {
        let revision = revision.to_owned();
        let session = Session { world: self, key: self.key(caller), id: String::new(), revision, path };
        let params = json!({"protocolVersion": session.revision, "capabilities": can,
            "clientInfo": {"name": "test", "version": "1"}});
        let reply =
            session.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let revision = reply.json()["result"]["protocolVersion"].as_str().unwrap().to_owned();
        let session = Session { id: reply.headers["mcp-session-id"].clone(), revision, ..session };
        let told = session.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!((told.status, told.body.as_str()), (202, ""));
        session
    }

    /// Ann looks at the card and signs.
    pub async fn approve(&self, elevation: &str) {
        let id: ElevationId = elevation.parse().unwrap();
        let (begun, _, _) = self.authority.begin_consent(id, self.ann).await.unwrap().unwrap();
        let challenge = from_b64url(&begun.challenge).unwrap();
        let made = self.authenticator.lock().unwrap().get("localhost", ORIGIN, &challenge).unwrap();
        let signed = SignedAssertion {
            nonce: begun.nonce,
            credential: b64url(&made.credential_id),
            client_data: made.client_data_json,
            authenticator_data: made.authenticator_data,
            signature: made.signature,
            user_handle: None,
        };
        let voted = self.authority.vote(id, self.ann, &signed).await.unwrap();
        assert!(matches!(voted, Ok(Voted::Approved(_))), "{voted:?}");
    }

    pub async fn reject(&self, elevation: &str, reason: &str) {
        let id = elevation.parse().unwrap();
        self.authority.reject(id, self.ann, reason, false).await.unwrap().unwrap();
    }

    /// What was refused before it was an access, as it was recorded.
    pub async fn unread(&self) -> Vec<String> {
        let lines = self.authority.store().records(0, 10_000).await.unwrap();
        let bodies = lines.into_iter().filter(|line| line.kind == "denied").filter_map(|line| line.body);
        let bodies = bodies.map(|(body, _)| serde_json::from_slice::<Value>(&body).unwrap());
        let unread = bodies.filter(|body| body["access"].is_null());
        unread.map(|body| body["slug"].as_str().unwrap().to_owned()).collect()
    }

    /// Kinds of all records, oldest first.
    pub async fn records(&self) -> Vec<String> {
        let lines = self.authority.store().records(0, 10_000).await.unwrap();
        lines.into_iter().map(|line| line.kind).collect()
    }
}

async fn person(authority: &Authority, name: &str, groups: &[&str], key: &SoftAuthenticator) -> HumanId {
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let Added::Done((id, token)) =
        authority.add_human(name, &groups, &authority::By::account(0)).await.unwrap()
    else {
        panic!()
    };
    let (begun, _) = authority.begin_enrol(token.expose()).await.unwrap().unwrap();
    let made = key.create("localhost", ORIGIN, &from_b64url(&begun.challenge).unwrap()).unwrap();
    authority.enrol(&begun.nonce, &made).await.unwrap().unwrap();
    id
}

impl Session<'_> {
    fn headers(&self) -> Vec<(&str, String)> {
        let mut headers = vec![
            ("Authorization", format!("Bearer {}", self.key)),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
        ];
        if !self.id.is_empty() {
            headers.push(("Mcp-Session-Id", self.id.clone()));
            headers.push(("Mcp-Protocol-Version", self.revision.clone()));
        }
        headers
    }

    fn head(&self, length: usize) -> String {
        let headers = self.headers();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.world.head("POST", self.path, &headers, length)
    }

    /// Sends exactly these bytes as one message.
    pub async fn raw(&self, body: &[u8]) -> Reply {
        wire::send(self.world.at, &self.head(body.len()), body).await
    }

    pub async fn send(&self, message: &Value) -> Reply {
        self.raw(message.to_string().as_bytes()).await
    }

    pub async fn request(&self, method: &str, params: Value) -> Reply {
        self.send(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.call_as(1, tool, arguments).await
    }

    /// One call under a JSON-RPC id of its own.
    pub async fn call_as(&self, id: u32, tool: &str, arguments: Value) -> Reply {
        let params = json!({"name": tool, "arguments": arguments});
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})).await
    }

    /// A call whose progress the caller listens to.
    pub async fn listen(&self, id: u32, tool: &str, arguments: Value) -> Open {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
        wire::open(self.world.at, &self.head(body.len()), body.as_bytes()).await
    }

    /// A call whose answer may become a stream.
    pub async fn open(&self, id: u32, tool: &str, arguments: Value) -> Open {
        let params = json!({"name": tool, "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
        wire::open(self.world.at, &self.head(body.len()), body.as_bytes()).await
    }

    /// A call that is written and not waited for; it ends when this is dropped.
    pub async fn start(
        &self,
        id: u32,
        tool: &str,
        arguments: Value,
    ) -> tokio::io::BufReader<tokio::net::TcpStream> {
        let params = json!({"name": tool, "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
        wire::write(self.world.at, &self.head(body.len()), body.as_bytes()).await
    }
}

pub fn deploy(version: &str) -> Value {
    json!({"version": version, "environment": "production"})
}

/// Waits until something is so, a minute at most: the machine may be busy.
pub async fn becomes(what: &str, so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if so() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
