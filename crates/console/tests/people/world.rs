//! Browsers with passkeys in front of the listener, and one caller behind it.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;

use authority::{
    Added, Ask, Authority, Bundle, NewCaller, Permit, Ruling, Settings, ToolSettings, Upstream,
    UpstreamSettings, token_hash,
};
use aws_lc_rs::rand::SystemRandom;
use axum::Router;
use axum::body::{Body, to_bytes};
use elevation::Outcome;
use http::{HeaderMap, Method, Request, StatusCode, header};
use passkey::{RelyingParty, SoftAuthenticator};
use store::sqlite::{Options, Sqlite};
use store::testing::TestAmbient;
use terms::access::{Resource, SealKey};
use terms::hash::{b64url, from_b64url};
use terms::{
    Access, Ambient, Binds, Caller, CallerKind, ElevationId, Json, Millis, Requirement, Secret, Terms, Tree,
    UpstreamHash,
};
use tower::ServiceExt as _;

pub const ORIGIN: &str = "https://stepup.example";

const RULES: &str = r#"
@id("administer") permit (principal is Human, action == Action::"administer", resource);
@id("work")
permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"], resource);

@id("deploy") @stepup("release")
forbid (principal, action == Action::"tools/call:ops/deploy", resource);

@id("scale") @stepup("solo")
forbid (principal, action == Action::"tools/call:ops/scale", resource);
"#;

pub fn json(text: &str) -> Json {
    terms::json::parse(text.as_bytes()).expect(text)
}

fn requirement(name: &str, tree: Tree) -> (String, Requirement) {
    let terms = Terms {
        pending_for: Millis::seconds(900),
        valid_for: Millis::seconds(300),
        uses: NonZeroU32::MIN,
        binds: Binds::Everything,
    };
    (name.to_owned(), Requirement { parts: BTreeMap::from([(name.to_owned(), tree)]), terms })
}

pub fn bundle() -> Bundle {
    let deploy =
        ToolSettings { title: Some("Deploy {/version} to {/environment}".to_owned()), ..Default::default() };
    let secret = ToolSettings { secrets: vec!["/token".parse().unwrap()], ..Default::default() };
    let tools = BTreeMap::from([("deploy".to_owned(), deploy), ("set_secret".to_owned(), secret)]);
    let ops = UpstreamSettings { environment: "production".to_owned(), tools, ..UpstreamSettings::default() };
    let managers = Tree::Approvals { n: NonZeroU8::MIN, from: "managers".to_owned() };
    Bundle {
        texts: BTreeMap::from([("rules.cedar".to_owned(), RULES.to_owned())]),
        requirements: BTreeMap::from([
            requirement("release", managers),
            requirement("solo", Tree::Owner { fresh: Millis::seconds(120) }),
        ]),
        upstreams: BTreeMap::from([("ops".to_owned(), ops)]),
    }
}

pub fn definition(name: &str, says: &str) -> Json {
    json(&format!(
        r#"{{"name":"{name}","description":"{says}","inputSchema":{{"type":"object","properties":{{
            "environment":{{"type":"string"}},"version":{{"type":"string"}},"n":{{"type":"integer"}}}}}}}}"#
    ))
}

/// One answer of the listener.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Json {
        json(&self.text)
    }

    pub fn error(&self) -> String {
        self.json().get("error").and_then(Json::as_str).expect("an error").to_owned()
    }

    /// The cookie that it sets, as the browser will send it.
    fn cookie(&self) -> Option<String> {
        let set = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        let pair = set.split(';').next().unwrap().to_owned();
        (!set.contains("Max-Age=0;")).then_some(pair)
    }
}

/// One person's browser and passkey.
pub struct Browser {
    router: Router,
    pub cookie: Option<String>,
    passkey: SoftAuthenticator,
}

impl Browser {
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, 4 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub fn request(&self, method: Method, path: &str, body: &str) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "stepup.example");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.body(Body::from(body.to_owned())).unwrap()
    }

    pub fn posting(&self, path: &str, body: &str) -> Request<Body> {
        let mut request = self.request(Method::POST, path, body);
        let headers = request.headers_mut();
        headers.insert(header::ORIGIN, ORIGIN.parse().unwrap());
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        request
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, "")).await
    }

    pub async fn post(&self, path: &str, body: &Json) -> Answer {
        self.send(self.posting(path, &body.text())).await
    }

    /// Posts, and keeps the cookie that comes.
    async fn enter(&mut self, path: &str, body: &Json) -> Answer {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        self.cookie = answer.cookie();
        answer
    }

    /// What the page's script does with the options that came: asks the passkey, and adds what it says to a body.
    pub fn signed(&mut self, begun: &Answer, with: Json) -> Json {
        signed_by(&mut self.passkey, begun, with)
    }

    /// Makes one more passkey; answers it, and what is to be signed by one that is good already.
    pub async fn make_passkey(&self) -> (SoftAuthenticator, Answer) {
        let passkey = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
        let begun = self.post("/me/passkeys/ceremony", &json("{}")).await;
        let made = self.post("/me/passkeys/made", &created_by(&passkey, &begun)).await;
        (passkey, made)
    }

    /// From now on this one is used.
    pub fn take(&mut self, passkey: SoftAuthenticator) {
        self.passkey = passkey;
    }
    pub async fn enrol(&mut self, invite: &str) {
        let begun = self.post(&format!("/enrol/{invite}/ceremony"), &json("{}")).await;
        let body = created_by(&self.passkey, &begun);
        self.enter(&format!("/enrol/{invite}"), &body).await;
    }

    pub async fn sign_in(&mut self) {
        let begun = self.post("/sign-in/ceremony", &json("{}")).await;
        let body = self.signed(&begun, json("{}"));
        self.enter("/sign-in", &body).await;
    }

    /// The card that the page shows, as the script reads it.
    pub async fn card(&self, id: ElevationId) -> Json {
        let page = self.get(&format!("/r/{id}")).await;
        let (_, rest) = page.text.split_once("data-card=\"").expect(&page.text);
        Json::object([("card", rest.split_once('"').unwrap().0)])
    }

    /// Looks at a card and begins to sign it.
    pub async fn begin(&self, id: ElevationId) -> Answer {
        let card = self.card(id).await;
        self.post(&format!("/r/{id}/ceremony"), &card).await
    }

    pub async fn approve(&mut self, id: ElevationId) -> Answer {
        let begun = self.begin(id).await;
        let body = self.signed(&begun, json("{}"));
        self.post(&format!("/r/{id}/vote"), &body).await
    }
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub ambient: Arc<TestAmbient>,
    pub authority: Arc<Authority>,
    pub router: Router,
    pub key: Secret<String>,
}

impl World {
    /// `bot` is olga's; ann and ben are managers, mia audits, dave is in no group.
    pub async fn new() -> (Self, BTreeMap<&'static str, Browser>) {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Arc::new(TestAmbient::seeded(3));
        let shared: Arc<dyn Ambient> = ambient.clone();
        let options = Options { reserve: 1 << 16, demo: true, ..Options::default() };
        let store = Sqlite::open(&dir.path().join("stepup.db"), Arc::clone(&shared), &options).unwrap();
        let ours = Settings {
            node: "node-1".to_owned(),
            permit_for: Millis::seconds(5),
            cool_down: Millis::seconds(600),
            answer_for: Millis::seconds(600),
            pending_per_caller: 20,
            pending_per_root: 50,
            denied_per_minute: 10,
            ceremony_for: Millis::seconds(300),
            session: Millis::seconds(8 * 3600),
            relying_party: RelyingParty {
                rp_id: "stepup.example".to_owned(),
                origins: vec![ORIGIN.to_owned()],
            },
            demo: true, // the software authenticator is the demo's
        };
        let authority =
            Authority::at_rest(Arc::new(store), shared, ours, SealKey::new([9; 32])).await.unwrap();
        authority.begin().await.unwrap();
        authority.attach(Upstream { name: "ops".to_owned(), identity: identity() });
        let router = console::router(Arc::clone(&authority), console::Settings::at(ORIGIN));
        let mut world = Self { dir, ambient, authority, router, key: Secret::new(String::new()) };
        let mut people = BTreeMap::new();
        for (name, groups) in [
            ("olga", &[][..]),
            ("ann", &["managers"]),
            ("ben", &["managers"]),
            ("mia", &["auditors"]),
            ("dave", &[]),
        ] {
            let mut browser = world.browser();
            browser.enrol(&world.invited(name, groups).await).await;
            people.insert(name, browser);
        }
        assert_eq!(
            world.authority.activate(&bundle(), &authority::By::account(0)).await.unwrap(),
            authority::Activated::Done
        );
        let tools = ["read_ticket", "deploy", "scale", "set_secret"].map(|name| definition(name, "Does it."));
        world.authority.observe("ops", tools.to_vec()).await.unwrap();
        let new = NewCaller {
            name: "bot".to_owned(),
            kind: CallerKind::Agent,
            owner: "olga".to_owned(),
            groups: vec!["ops-agents".to_owned()],
            act: Vec::new(),
        };
        let Added::Done((_, key)) =
            world.authority.add_caller(&new, &authority::By::account(0)).await.unwrap()
        else {
            panic!()
        };
        world.key = key.key;
        (world, people)
    }

    pub fn browser(&self) -> Browser {
        self.browser_at(self.router.clone())
    }

    pub fn browser_at(&self, router: Router) -> Browser {
        let passkey = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
        Browser { router, cookie: None, passkey }
    }

    pub async fn invited(&self, name: &str, groups: &[&str]) -> String {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let Added::Done((_, token)) =
            self.authority.add_human(name, &groups, &authority::By::account(0)).await.unwrap()
        else {
            panic!()
        };
        token.expose().clone()
    }

    pub fn bot(&self) -> Arc<Caller> {
        self.authority.authenticate(token_hash(self.key.expose())).unwrap()
    }

    fn ask(&self, tool: &str, arguments: &str) -> Ask {
        let tool = self.authority.active().tool("ops", tool).unwrap();
        let resource = Resource {
            kind: "tool".to_owned(),
            id: tool.id(),
            definition: tool.pin.digest,
            upstream: identity(),
        };
        let (secrets, key) = (&tool.settings.secrets, self.authority.seal_key());
        let access = Access::new(self.bot().subject(), "tools/call", resource, json(arguments), secrets, key);
        let (access, secrets) = access.unwrap();
        Ask {
            caller: self.bot(),
            access,
            secrets,
            source: "192.0.2.1".to_owned(),
            purpose: None,
            ticket: None,
            once: None,
        }
    }

    pub async fn decide(&self, tool: &str, arguments: &str) -> Ruling {
        self.authority.decide(&self.ask(tool, arguments)).await.unwrap()
    }

    /// A call that is stopped.
    pub async fn challenged(&self, tool: &str, arguments: &str) -> ElevationId {
        match self.decide(tool, arguments).await {
            Ruling::Challenged(challenge) => challenge.elevation,
            other @ (Ruling::Permitted(_) | Ruling::Denied(_)) => panic!("{other:?}"),
        }
    }

    pub async fn deploy(&self, version: &str) -> ElevationId {
        self.challenged("deploy", &deployment(version)).await
    }

    /// The same call again, which runs and ends so.
    pub async fn run(&self, version: &str, outcome: Outcome) {
        let Ruling::Permitted(permit) = self.decide("deploy", &deployment(version)).await else { panic!() };
        self.run_to(permit, outcome).await;
    }

    async fn run_to(&self, permit: Permit, outcome: Outcome) {
        let (_, mut settlement) = permit.embark().unwrap();
        settlement.sending();
        self.authority.settle(settlement, outcome, Some(true)).await.unwrap();
    }

    /// Every byte that the store has written.
    pub fn bytes(&self) -> Vec<u8> {
        let path = |name: &str| -> PathBuf { self.dir.path().join(name) };
        let read = |name: &str| std::fs::read(path(name)).unwrap_or_default();
        [read("stepup.db"), read("stepup.db-wal")].concat()
    }
}

pub fn deployment(version: &str) -> String {
    format!(r#"{{"environment":"production","version":"{version}"}}"#)
}

pub fn identity() -> UpstreamHash {
    UpstreamHash::of(&Json::from("ops as it is"))
}

/// What a page's script posts of a passkey that was made.
fn created_by(passkey: &SoftAuthenticator, begun: &Answer) -> Json {
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let begun = begun.json();
    let options = begun.get("publicKey").unwrap();
    let challenge = from_b64url(options.get("challenge").and_then(Json::as_str).unwrap()).unwrap();
    let rp_id = options.get("rp").and_then(|rp| rp.get("id")).and_then(Json::as_str).unwrap();
    let said = passkey.create(rp_id, ORIGIN, &challenge).unwrap();
    Json::object([
        ("nonce", begun.get("nonce").unwrap().clone()),
        ("clientDataJSON", Json::from(b64url(&said.client_data_json))),
        ("attestationObject", Json::from(b64url(&said.attestation_object))),
    ])
}

/// What a page's script posts of a signature.
pub fn signed_by(passkey: &mut SoftAuthenticator, begun: &Answer, mut with: Json) -> Json {
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let begun = begun.json();
    let options = begun.get("publicKey").unwrap();
    let text = |name: &str| options.get(name).and_then(Json::as_str).unwrap();
    assert_eq!(text("userVerification"), "required");
    let challenge = from_b64url(text("challenge")).unwrap();
    let said = passkey.get(text("rpId"), ORIGIN, &challenge).unwrap();
    let Json::Object(members) = &mut with else { panic!() };
    members.insert("nonce", begun.get("nonce").unwrap().clone());
    members.insert("credential", b64url(&said.credential_id));
    members.insert("clientDataJSON", b64url(&said.client_data_json));
    members.insert("authenticatorData", b64url(&said.authenticator_data));
    members.insert("signature", b64url(&said.signature));
    members.insert("userHandle", Json::Null);
    with
}
