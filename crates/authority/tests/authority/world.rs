//! People with passkeys, callers with keys, an upstream with tools, and rules about them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::between::Between;
use audit::export::{Contents, Entry, Header, Writer};
use audit::record::{Draft, Kind, Refs};
use audit::tree::{Head, leaf_hash};
use audit::{Asserted, Broken, CheckpointKey, Report, Trust, verify};
use authority::{
    Added, Ask, Authority, Begun, Bundle, Challenge, Denial, NewCaller, NotCounted, Permit, Ruling, Settings,
    SignedAssertion, ToolSettings, Upstream, UpstreamSettings, Voted, Waiting, token_hash,
};
use aws_lc_rs::rand::SystemRandom;
use elevation::Outcome;
use passkey::{Aaguid, Backup, Credential, PublicKey, RelyingParty, SoftAuthenticator};
use store::sqlite::{OpenError, Options, Sqlite};
use store::testing::TestAmbient;
use store::{Change, Commit, Human, Invite, Member, Membership, OwnedBy, Principal, RegisteredCaller};
use terms::access::{Resource, SealKey};
use terms::hash::{b64url, from_b64url};
use terms::{
    Access, Ambient, Binds, Caller, CallerId, CallerKind, Digest, ElevationId, HumanId, Json, Millis,
    Pointer, RecordId, Requirement, Secret, Slug, Terms, Tree, UpstreamHash,
};

pub const ORIGIN: &str = "https://stepup.example";

/// Baseline for the group; deploying outside staging needs `release`; two people for `pair`; the owner for `solo`.
pub const RULES: &str = r#"
@id("administer")
permit (principal is Human, action == Action::"administer", resource);

@id("work")
permit (principal in Group::"ops-agents", action in [Action::"discover", Action::"tools/call"], resource);

@id("deploy") @stepup("release")
forbid (principal, action == Action::"tools/call:ops/deploy", resource)
unless { context.arguments has environment && context.arguments.environment == "staging" };

@id("secret") @stepup("pair")
forbid (principal, action == Action::"tools/call:ops/set_secret", resource);

@id("restore") @stepup("target")
forbid (principal, action == Action::"tools/call:ops/restore", resource);

@id("solo") @stepup("solo")
forbid (principal, action == Action::"tools/call:ops/scale", resource);

@id("told") @stepup("told")
forbid (principal, action == Action::"tools/call:ops/export", resource);

@id("never")
forbid (principal, action == Action::"tools/call:ops/destroy", resource);

@id("hidden")
forbid (principal, action == Action::"discover", resource == Tool::"ops/destroy");
"#;

pub fn json(text: &str) -> Json {
    terms::json::parse(text.as_bytes()).expect(text)
}

pub fn approvals(n: u8, from: &str) -> Tree {
    Tree::Approvals { n: NonZeroU8::new(n).unwrap(), from: from.to_owned() }
}

pub fn requirement(name: &str, tree: Tree, uses: u32, binds: Binds) -> (String, Requirement) {
    let terms = Terms {
        pending_for: Millis::seconds(900),
        valid_for: Millis::seconds(300),
        uses: NonZeroU32::new(uses).unwrap(),
        binds,
    };
    (name.to_owned(), Requirement { parts: BTreeMap::from([(name.to_owned(), tree)]), terms })
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub fn requirements() -> BTreeMap<String, Requirement> {
    let all = Binds::Everything;
    let target = Binds::Pointers(pointers(&["/target"]).into_iter().collect());
    let ticket = Tree::Ticket { pattern: "OPS-[0-9]+".to_owned() };
    BTreeMap::from([
        requirement("release", approvals(1, "managers"), 1, all.clone()),
        requirement(
            "pair",
            Tree::All(vec![approvals(1, "managers"), approvals(1, "security")]),
            1,
            all.clone(),
        ),
        requirement("target", approvals(1, "managers"), 3, target),
        requirement("solo", Tree::Owner { fresh: Millis::seconds(120) }, 1, all.clone()),
        requirement("told", Tree::All(vec![approvals(1, "managers"), Tree::Purpose, ticket]), 1, all),
    ])
}

pub fn bundle() -> Bundle {
    bundle_of(RULES)
}

pub fn bundle_of(rules: &str) -> Bundle {
    let tool = |title: Option<&str>, secrets: &[&str], references: &[&str]| ToolSettings {
        reviewed: None,
        secrets: pointers(secrets),
        references: pointers(references),
        title: title.map(str::to_owned),
        touches: Vec::new(),
        capture: None,
    };
    let tools = BTreeMap::from([
        ("deploy".to_owned(), tool(Some("Deploy {/version} to {/environment}"), &[], &["/artifact"])),
        ("set_secret".to_owned(), tool(None, &["/token"], &[])),
        ("read_*".to_owned(), ToolSettings { reviewed: Some("read-only".to_owned()), ..Default::default() }),
    ]);
    let ops = UpstreamSettings { environment: "production".to_owned(), tools, ..UpstreamSettings::default() };
    Bundle {
        texts: BTreeMap::from([("rules.cedar".to_owned(), rules.to_owned())]),
        requirements: requirements(),
        upstreams: BTreeMap::from([("ops".to_owned(), ops)]),
    }
}

/// What the upstream says of one tool.
pub fn definition(name: &str, properties: &str) -> Json {
    json(&format!(
        r#"{{"name":"{name}","description":"{name}s","inputSchema":{{"type":"object","properties":{properties}}}}}"#
    ))
}

pub fn definitions() -> Vec<Json> {
    let deploy = r#"{"environment":{"type":"string"},"version":{"type":"string"},"artifact":{"type":"string"},
        "replicas":{"type":"integer","default":3}}"#;
    vec![
        definition("read_ticket", r#"{"id":{"type":"integer"}}"#),
        definition("deploy", deploy),
        definition("set_secret", r#"{"name":{"type":"string"},"token":{"type":"string"}}"#),
        definition("restore", r#"{"target":{"type":"string"},"path":{"type":"string"}}"#),
        definition("scale", r#"{"n":{"type":"integer"}}"#),
        definition("export", r#"{"n":{"type":"integer"}}"#),
        definition("destroy", "{}"),
    ]
}

pub fn identity() -> UpstreamHash {
    UpstreamHash::of(&Json::from("ops as it is"))
}

/// A person and the passkey in their hand.
#[derive(Clone)]
pub struct Person {
    pub id: HumanId,
    authenticator: Rc<RefCell<SoftAuthenticator>>,
    credential: String,
}

pub struct World {
    dir: tempfile::TempDir,
    pub ambient: Arc<TestAmbient>,
    authority: Option<Arc<Authority>>,
    between: Option<Arc<Between>>,
    pub settings: Settings,
    pub people: BTreeMap<String, Person>,
    keys: BTreeMap<String, Secret<String>>,
    verified: bool,
}

pub fn settings() -> Settings {
    Settings {
        node: "node-1".to_owned(),
        permit_for: Millis::seconds(5),
        cool_down: Millis::seconds(600),
        answer_for: Millis::seconds(600),
        pending_per_caller: 5,
        pending_per_root: 50,
        denied_per_minute: 3,
        ceremony_for: Millis::seconds(300),
        session: Millis::seconds(8 * 3600),
        relying_party: RelyingParty { rp_id: "stepup.example".to_owned(), origins: vec![ORIGIN.to_owned()] },
        demo: true, // the software authenticator is the demo's
    }
}

impl World {
    /// olga owns the agent; ann and ben are managers, sam is in security, dave is in no group.
    pub async fn new() -> Self {
        Self::with(settings(), &bundle()).await
    }

    pub async fn with(settings: Settings, bundle: &Bundle) -> Self {
        Self::seeded(0, settings, bundle).await
    }

    pub async fn seeded(seed: u64, settings: Settings, bundle: &Bundle) -> Self {
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            ambient: Arc::new(TestAmbient::seeded(seed)),
            authority: None,
            between: None,
            settings,
            people: BTreeMap::new(),
            keys: BTreeMap::new(),
            verified: false,
        };
        world.open().await;
        for (name, groups) in [
            ("olga", &[][..]),
            ("ann", &["managers"]),
            ("ben", &["managers"]),
            ("sam", &["security"]),
            ("dave", &[]),
        ] {
            world.human(name, groups).await;
        }
        if *bundle != Bundle::default() {
            world.activate(bundle).await;
        }
        let observed = world.authority().observe("ops", definitions()).await.unwrap();
        assert_eq!(observed.pinned, definitions().len());
        world.caller("bot", "olga", &[]).await;
        world
    }

    /// Closes the store, to be forked from.
    pub async fn close(&mut self) {
        self.settled().await;
        (self.authority, self.between) = (None, None);
        self.verified = true;
    }

    /// A world like this one, in a place of its own, with other randomness and the same people.
    pub async fn fork(&self, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in self.files() {
            std::fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
        }
        let mut world = Self {
            dir,
            ambient: Arc::new(TestAmbient::seeded(seed)),
            authority: None,
            between: None,
            settings: self.settings.clone(),
            people: self.people.clone(),
            keys: self.keys.clone(),
            verified: false,
        };
        world.open().await;
        world
    }

    /// No rules are in force.
    pub async fn without_rules() -> Self {
        Self::with(settings(), &Bundle::default()).await
    }

    async fn open(&mut self) {
        let ambient: Arc<dyn Ambient> = self.ambient.clone();
        let options = Options { reserve: 1 << 16, demo: true, ..Options::default() };
        let path = self.dir.path().join("stepup.db");
        let store = loop {
            match Sqlite::open(&path, Arc::clone(&ambient), &options) {
                Ok(store) => break Arc::new(Between::new(Arc::new(store))),
                // What was queued before a crash may be half way into the store still.
                Err(OpenError::Taken { .. }) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                Err(other) => panic!("{other}"),
            }
        };
        let seal = SealKey::new([9; 32]);
        self.between = Some(Arc::clone(&store));
        let authority = Authority::at_rest(store, ambient, self.settings.clone(), seal).await.unwrap();
        authority.begin().await.unwrap();
        authority.attach(Upstream { name: "ops".to_owned(), identity: identity() });
        self.authority = Some(authority);
    }

    /// The process ends here and now, and somebody looks at what it left, without starting one.
    pub async fn looked_at(&mut self, drop_with: impl FnOnce()) -> Arc<Authority> {
        (self.authority, self.between) = (None, None);
        drop_with();
        let ambient: Arc<dyn Ambient> = self.ambient.clone();
        let options = Options { reads_only: true, ..Options::default() };
        let path = self.dir.path().join("stepup.db");
        let store = loop {
            match Sqlite::open(&path, Arc::clone(&ambient), &options) {
                Ok(store) => break Arc::new(store),
                Err(OpenError::Taken { .. }) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                Err(other) => panic!("{other}"),
            }
        };
        Authority::at_rest(store, ambient, self.settings.clone(), SealKey::new([9; 32])).await.unwrap()
    }

    /// What would be in force by a bundle.
    pub fn would(&self, bundle: &Bundle) -> authority::Active {
        let active = self.authority().active();
        active.under(bundle.clone(), active.compile(bundle).unwrap(), self.authority().now())
    }

    /// Puts rules in force.
    pub async fn activate(&self, bundle: &Bundle) {
        let activated = self.authority().activate(bundle, &authority::By::account(0)).await.unwrap();
        assert_eq!(activated, authority::Activated::Done);
    }

    pub fn authority(&self) -> &Arc<Authority> {
        self.authority.as_ref().unwrap()
    }

    /// What stands between the authority and its store.
    pub fn between(&self) -> &Between {
        self.between.as_ref().unwrap()
    }

    /// The process ends here and now, and another one opens the store. What the caller still holds of the old one
    /// must be dropped by `drop_with`, which runs when nobody is left who would record it.
    pub async fn crash(&mut self, drop_with: impl FnOnce()) {
        (self.authority, self.between) = (None, None);
        drop_with();
        self.open().await;
    }

    /// Somebody else moves the store on to its next epoch, and this node is not told.
    pub async fn behind_its_back(&self) {
        let invite = store::Invite {
            hash: Digest::plain(b"nobody knows it"),
            human: self.id("dave"),
            until: self.ambient.now(),
            by: "other".to_owned(),
        };
        self.write(vec![Change::Register(Principal::Invite(invite))]).await;
    }

    /// Writes to the store past the authority.
    pub async fn write(&self, changes: Vec<Change>) {
        let ambient = self.ambient.as_ref();
        let draft = Draft {
            id: RecordId::ordered(ambient),
            at: ambient.now(),
            node: "node-2".to_owned(),
            kind: Kind::HumanChanged,
            refs: Refs::default(),
            body: Json::object([("by", "other")]),
        };
        let commit = Commit { changes, records: vec![draft.seal([3; 16])] };
        self.authority().store().commit(commit).await.unwrap().unwrap();
    }

    pub fn pass(&self, seconds: u64) {
        self.ambient.pass(Millis::seconds(seconds));
    }

    /// Adds a person, who enrols a passkey.
    pub async fn human(&mut self, name: &str, groups: &[&str]) {
        let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        let added = self.authority().add_human(name, &groups, &authority::By::account(0)).await.unwrap();
        let Added::Done((id, token)) = added else { panic!("{added:?}") };
        self.take_up(name, id, token.expose()).await;
    }

    /// Adds another identity of a person who is known, and enrols a passkey for it. Identities are merged by an
    /// operator; that verb comes later, so the rows are written past the authority.
    pub async fn identity(&mut self, name: &str, root: HumanId, group: &str) {
        let id = HumanId::fresh(self.ambient.as_ref());
        let human =
            Human { id, root, name: name.to_owned(), disabled_at: None, added_by: "other".to_owned() };
        let member = Membership { group: group.to_owned(), member: Member::Human(id) };
        let until = self.ambient.now().after(Millis::seconds(60));
        let invite = Invite { hash: token_hash(name), human: id, until, by: "other".to_owned() };
        let principals = [Principal::Human(human), Principal::Member(member), Principal::Invite(invite)];
        self.write(principals.map(Change::Register).into()).await;
        drop(self.authority().decide(&self.ask("read_ticket", "{}")).await.unwrap()); // learns of the new epoch
        self.take_up(name, id, name).await;
    }

    /// Enrols one more passkey for a person, known by another name here.
    pub async fn second_passkey(&mut self, name: &str, as_name: &str) {
        let Added::Done(token) = self.authority().invite(name, &authority::By::account(0)).await.unwrap()
        else {
            panic!()
        };
        self.pass(1);
        self.take_up(as_name, self.id(name), token.expose()).await;
    }

    async fn take_up(&mut self, name: &str, id: HumanId, token: &str) {
        let authenticator = SoftAuthenticator::new(&SystemRandom::new()).unwrap();
        let person =
            Person { id, authenticator: Rc::new(RefCell::new(authenticator)), credential: String::new() };
        let credential = self.enrol(token, &person).await.unwrap();
        self.people.insert(name.to_owned(), Person { credential, ..person });
    }

    /// A caller that owns itself, as a broken import might leave one.
    pub async fn owns_itself(&self, name: &str) -> CallerId {
        let id = CallerId::fresh(self.ambient.as_ref());
        let caller = RegisteredCaller {
            id,
            name: name.to_owned(),
            kind: CallerKind::Agent,
            owner: OwnedBy::Caller(id),
            act: Vec::new(),
            disabled_at: None,
        };
        self.write(vec![Change::Register(Principal::Caller(caller))]).await;
        drop(self.authority().decide(&self.ask("read_ticket", "{}")).await.unwrap());
        id
    }

    /// Answers the credential's id.
    pub async fn enrol(&self, token: &str, person: &Person) -> Result<String, NotCounted> {
        let (begun, human) = self.authority().begin_enrol(token).await.unwrap()?;
        assert_eq!(human.id, person.id);
        let challenge = from_b64url(&begun.challenge).unwrap();
        let registration =
            person.authenticator.borrow().create("stepup.example", ORIGIN, &challenge).unwrap();
        self.authority().enrol(&begun.nonce, &registration).await.unwrap()?;
        let passkeys = self.authority().active();
        let newest = passkeys.passkeys_of(human.id).max_by_key(|p| p.enrolled_at).unwrap();
        Ok(newest.credential.clone())
    }

    /// The files that the store is in.
    pub fn files(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    pub fn id(&self, name: &str) -> HumanId {
        self.people[name].id
    }

    /// Registers a caller in the agents' group.
    pub async fn caller(&mut self, name: &str, owner: &str, act: &[&str]) -> Arc<Caller> {
        let new = NewCaller {
            name: name.to_owned(),
            kind: CallerKind::Agent,
            owner: owner.to_owned(),
            groups: vec!["ops-agents".to_owned()],
            act: act.iter().map(|a| (*a).to_owned()).collect(),
        };
        let added = self.authority().add_caller(&new, &authority::By::account(0)).await.unwrap();
        let Added::Done((_, key)) = added else { panic!("{added:?}") };
        self.keys.insert(name.to_owned(), key.key);
        self.authenticated(name).unwrap()
    }

    pub fn authenticated(&self, name: &str) -> Result<Arc<Caller>, Slug> {
        self.authority().authenticate(token_hash(self.keys[name].expose()))
    }

    pub fn holds(&mut self, name: &str, key: Secret<String>) {
        self.keys.insert(name.to_owned(), key);
    }

    pub fn bot(&self) -> Arc<Caller> {
        self.authenticated("bot").unwrap()
    }

    /// The agent's id, also when it is disabled.
    pub fn ask_id(&self) -> CallerId {
        self.authority().active().caller_named("bot").unwrap().id
    }

    pub fn ask_as(&self, caller: &Arc<Caller>, tool: &str, arguments: &str) -> Ask {
        let active = self.authority().active();
        let tool = active.tool("ops", tool).unwrap();
        let resource = Resource {
            kind: "tool".to_owned(),
            id: tool.id(),
            definition: tool.pin.digest,
            upstream: identity(),
        };
        let secrets = &tool.settings.secrets;
        let seal = self.authority().seal_key();
        let (access, secrets) =
            Access::new(caller.subject(), "tools/call", resource, json(arguments), secrets, seal).unwrap();
        Ask {
            caller: Arc::clone(caller),
            access,
            secrets,
            source: "192.0.2.1".to_owned(),
            purpose: None,
            ticket: None,
            once: None,
        }
    }

    pub fn ask(&self, tool: &str, arguments: &str) -> Ask {
        self.ask_as(&self.bot(), tool, arguments)
    }

    pub async fn decide(&self, tool: &str, arguments: &str) -> Ruling {
        self.authority().decide(&self.ask(tool, arguments)).await.unwrap()
    }

    /// Expects a challenge.
    pub async fn challenged(&self, tool: &str, arguments: &str) -> Challenge {
        challenged(self.decide(tool, arguments).await)
    }

    pub async fn permitted(&self, tool: &str, arguments: &str) -> Permit {
        permitted(self.decide(tool, arguments).await)
    }

    pub async fn denied(&self, tool: &str, arguments: &str) -> Denial {
        denied(self.decide(tool, arguments).await)
    }

    /// Opens the card as a person.
    pub async fn begin(&self, id: ElevationId, name: &str) -> Result<Begun, NotCounted> {
        self.authority().begin_consent(id, self.id(name)).await.unwrap().map(|(begun, ..)| begun)
    }

    /// Signs what was begun with a person's passkey.
    pub fn sign(&self, begun: &Begun, name: &str) -> SignedAssertion {
        signed_with(&mut self.people[name].authenticator.borrow_mut(), begun)
    }

    pub async fn vote(
        &self,
        id: ElevationId,
        name: &str,
        signed: &SignedAssertion,
    ) -> Result<Voted, NotCounted> {
        self.authority().vote(id, self.id(name), signed).await.unwrap()
    }

    /// Opens the card and signs it.
    pub async fn approve(&self, id: ElevationId, name: &str) -> Result<Voted, NotCounted> {
        let begun = self.begin(id, name).await?;
        self.vote(id, name, &self.sign(&begun, name)).await
    }

    /// Forwards the permit to an upstream that answers.
    pub async fn run(&self, permit: Permit) {
        self.run_to(permit, Outcome::Done, Some(true)).await;
    }

    pub async fn run_to(&self, permit: Permit, outcome: Outcome, delivered: Option<bool>) {
        let (_, mut settlement) = permit.embark().unwrap();
        settlement.sending();
        self.authority().settle(settlement, outcome, delivered).await.unwrap();
    }

    /// Waits until every outcome is recorded.
    pub async fn settled(&self) {
        self.authority().drain(Millis::seconds(10)).await;
    }

    pub fn passkey(&self, name: &str) -> &str {
        &self.people[name].credential
    }

    pub async fn records(&self) -> Vec<store::LogLine> {
        let mut all: Vec<store::LogLine> = Vec::new();
        loop {
            let more = self.authority().store().records(all.len() as u64, 1000).await.unwrap();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// The kinds of all records, in order.
    pub async fn kinds(&self) -> Vec<String> {
        self.records().await.into_iter().map(|line| line.kind).collect()
    }

    /// The bodies of all records of a kind.
    pub async fn bodies(&self, kind: &str) -> Vec<Json> {
        let of_kind = self.records().await.into_iter().filter(|line| line.kind == kind);
        of_kind.map(|line| terms::json::parse(&line.body.unwrap().0).unwrap()).collect()
    }

    /// Exports the log and verifies it as an auditor would, every signature included.
    pub async fn verified(mut self) -> Report {
        self.settled().await;
        let head = self.authority().store().head().await.unwrap();
        let key = CheckpointKey::from_seed("stepup.example/log", &[5; 32]).unwrap();
        let header = Header {
            origin: "stepup.example/log".to_owned(),
            install: self.authority().active().install(),
            key: key.verifier().to_string(),
        };
        let mut file = Writer::begin(Vec::new(), &header).unwrap();
        for line in self.records().await {
            file.entry(&entry(line)).unwrap();
        }
        let file = file.end(&key.checkpoint(Head { size: head.size, root: head.root })).unwrap();
        let report =
            verify(file.as_slice(), &Trust { key: key.verifier(), earlier: &[], assertions: &recheck });
        self.verified = true;
        report.unwrap_or_else(|Broken { leaf, what }| panic!("leaf {leaf:?}: {what}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(self.verified || std::thread::panicking(), "a test ended without verifying its log");
    }
}

fn entry(line: store::LogLine) -> Entry {
    let (body, salt) = line.body.unwrap();
    Entry {
        leaf: line.leaf,
        hash: leaf_hash(&line.envelope),
        envelope: String::from_utf8(line.envelope).unwrap(),
        contents: Some(Contents { body: String::from_utf8(body).unwrap(), salt }),
    }
}

/// Checks an assertion of the log with the code that the console checks it with.
fn recheck(asserted: &Asserted<'_>) -> Result<(), String> {
    let part =
        |name: &str| asserted.assertion.get(name).and_then(Json::as_str).and_then(from_b64url).unwrap();
    let enrolled = asserted.passkey;
    let id = from_b64url(&enrolled.credential).unwrap();
    let credential = Credential {
        id: id.clone(),
        public_key: PublicKey::from_cose(&from_b64url(&enrolled.public_key).unwrap()).unwrap(),
        aaguid: Aaguid([0; 16]),
        sign_count: enrolled.sign_count,
        backup: Backup::from_flags(enrolled.backup_eligible, enrolled.backed_up).unwrap(),
    };
    let response = passkey::Assertion {
        credential_id: id,
        client_data_json: part("clientDataJSON"),
        authenticator_data: part("authenticatorData"),
        signature: part("signature"),
        user_handle: None,
    };
    let rp = RelyingParty { rp_id: asserted.rp.id.clone(), origins: asserted.rp.origins.clone() };
    let challenge: Digest = asserted.challenge;
    passkey::recheck(&rp, challenge.bytes(), &credential, &response).map(drop).map_err(|e| e.to_string())
}

pub fn permitted(ruling: Ruling) -> Permit {
    match ruling {
        Ruling::Permitted(permit) => permit,
        other @ (Ruling::Challenged(_) | Ruling::Denied(_)) => panic!("not permitted: {other:?}"),
    }
}

pub fn challenged(ruling: Ruling) -> Challenge {
    match ruling {
        Ruling::Challenged(challenge) => *challenge,
        other @ (Ruling::Permitted(_) | Ruling::Denied(_)) => panic!("not challenged: {other:?}"),
    }
}

pub fn denied(ruling: Ruling) -> Denial {
    match ruling {
        Ruling::Denied(denial) => denial,
        other @ (Ruling::Permitted(_) | Ruling::Challenged(_)) => panic!("not denied: {other:?}"),
    }
}

/// Waits until somebody is woken, who is so at once or not at all.
pub async fn woken(mut waiting: Waiting) {
    let woken = tokio::time::timeout(Duration::from_secs(10), waiting.changed()).await;
    assert!(woken.is_ok(), "nobody was woken");
}

/// A call of `deploy` to production, of this version.
pub fn deploy(version: &str) -> String {
    format!(r#"{{"environment":"production","version":"{version}"}}"#)
}

/// Signs what was begun with this authenticator.
pub fn signed_with(authenticator: &mut SoftAuthenticator, begun: &Begun) -> SignedAssertion {
    let challenge = from_b64url(&begun.challenge).unwrap();
    let assertion = authenticator.get("stepup.example", ORIGIN, &challenge).unwrap();
    SignedAssertion {
        nonce: begun.nonce.clone(),
        credential: b64url(&assertion.credential_id),
        client_data: assertion.client_data_json,
        authenticator_data: assertion.authenticator_data,
        signature: assertion.signature,
        user_handle: assertion.user_handle,
    }
}

/// The longest that nobody else was let on while something was done, and how long that took in all. On one thread: whoever does not
/// wait lets nobody else on.
#[allow(clippy::disallowed_methods)] // nothing is decided by it
pub async fn held_up<T>(done: impl Future<Output = T>) -> (T, Duration, Duration) {
    let longest = Arc::new(std::sync::Mutex::new(Duration::ZERO));
    let others = Arc::clone(&longest);
    let other = tokio::spawn(async move {
        let mut last = std::time::Instant::now();
        loop {
            tokio::task::yield_now().await;
            let mut longest = others.lock().unwrap();
            *longest = longest.max(last.elapsed());
            last = std::time::Instant::now();
        }
    });
    tokio::task::yield_now().await;
    let begun = std::time::Instant::now();
    let value = done.await;
    let took = begun.elapsed();
    tokio::task::yield_now().await;
    other.abort();
    let longest = *longest.lock().unwrap();
    (value, longest, took)
}
