//! A log that is written as the gateway would write it, with passkeys that really sign, and every step of which a
//! test can bend before it is sealed.
#![allow(dead_code)] // each test file uses its part

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use audit::body::{
    self, Body, Captured, Challenged, Granted, Locked, Matched, Outcome, PasskeyEnrolled, Permitted,
    Preparers, RelyingParty, Settled, Signed, Spent, Started, Subject, SubjectKind, Touches, Voted, Voter,
    Who,
};
use audit::export::{Entry, Header, Writer};
use audit::tree::{Head, root};
use audit::{Asserted, Broken, CheckpointKey, Draft, Record, Refs, Report, Trust, verify};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use terms::access::{Resource, SealKey, Subject as Caller};
use terms::card::{CallerLine, Card, Claims, Field, ToolLine, UpstreamLine};
use terms::hash::{UpstreamHash, b64url, from_b64url};
use terms::statement::{Consent, Matter, Role, Statement};
use terms::words::words;
use terms::{
    Access, AttemptId, Binds, BootId, CallerId, DefinitionHash, ElevationId, GrantId, HumanId, InstallId,
    Json, KeyId, LockId, Millis, RecordId, Requirement, Terms, Time, Tree,
};

/// The sixteen bytes of the n-th id.
fn bytes(n: u8) -> [u8; 16] {
    [n; 16]
}

pub fn elevation(n: u8) -> ElevationId {
    ElevationId::from_slice(&bytes(n)).unwrap()
}

pub fn grant(n: u8) -> GrantId {
    GrantId::from_slice(&bytes(n)).unwrap()
}

pub fn attempt(n: u8) -> AttemptId {
    AttemptId::from_slice(&bytes(n)).unwrap()
}

pub fn caller() -> CallerId {
    CallerId::from_slice(&bytes(1)).unwrap()
}

pub fn lock(n: u8) -> LockId {
    LockId::from_slice(&bytes(n)).unwrap()
}

/// A person with a passkey.
pub struct Person {
    pub human: HumanId,
    pub credential: String,
    pair: Ed25519KeyPair,
}

pub fn person(n: u8) -> Person {
    Person {
        human: HumanId::from_slice(&bytes(n)).unwrap(),
        credential: b64url(&[n; 20]),
        pair: Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap(),
    }
}

/// The owner of the caller, and two who may approve.
pub fn owner() -> Person {
    person(10)
}

pub fn ann() -> Person {
    person(11)
}

pub fn ben() -> Person {
    person(12)
}

impl Person {
    pub fn sign(&self, statement: &Statement) -> Json {
        let challenge = b64url(statement.challenge().bytes());
        let client_data = format!(
            r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://stepup.example","crossOrigin":false}}"#
        );
        let data = [7_u8; 37];
        let signed = [&data, digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        Json::object([
            ("clientDataJSON", b64url(client_data.as_bytes())),
            ("authenticatorData", b64url(&data)),
            ("signature", b64url(self.pair.sign(&signed).as_ref())),
        ])
    }
}

/// Checks what [`Person::sign`] signed, as the binary does with WebAuthn.
pub fn check(asserted: &Asserted<'_>) -> Result<(), String> {
    let part = |name: &str| asserted.assertion.get(name).and_then(Json::as_str).and_then(from_b64url);
    let (client_data, data) = (part("clientDataJSON").unwrap(), part("authenticatorData").unwrap());
    let signed = [data.as_slice(), digest(&SHA256, &client_data).as_ref()].concat();
    let key = from_b64url(&asserted.passkey.public_key).unwrap();
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&signed, &part("signature").unwrap())
        .map_err(|_| "the signature is not valid".to_owned())
}

pub fn install() -> InstallId {
    InstallId::from_slice(&bytes(3)).unwrap()
}

/// What a log begins with.
pub fn started() -> Started {
    Started {
        install: install(),
        boot: BootId::from_slice(&bytes(1)).unwrap(),
        version: "0.1.0".to_owned(),
        rp: RelyingParty {
            id: "stepup.example".to_owned(),
            origins: vec!["https://stepup.example".to_owned()],
        },
    }
}

pub fn signing_key() -> CheckpointKey {
    CheckpointKey::from_seed("stepup.example/log", &[5; 32]).unwrap()
}

pub fn access(version: &str) -> Access {
    let subject = Caller {
        kind: "agent".to_owned(),
        id: "release-bot".to_owned(),
        owner: "olga".to_owned(),
        act: Vec::new(),
    };
    let resource = Resource {
        kind: "tool".to_owned(),
        id: "ops/deploy".to_owned(),
        definition: DefinitionHash::of(&Json::from("definition")),
        upstream: UpstreamHash::of(&Json::from("upstream")),
    };
    let arguments = Json::object([("environment", "production"), ("version", version)]);
    Access::new(subject, "tools/call", resource, arguments, &[], &SealKey::new([1; 32])).unwrap().0
}

pub fn who() -> Who {
    Who {
        name: "release-bot".to_owned(),
        owner: "olga".to_owned(),
        act: Vec::new(),
        roots: BTreeSet::from([owner().human]),
        key: KeyId::from_slice(&bytes(1)).unwrap(),
        key_prefix: "sk_abc".to_owned(),
        key_bound: false,
        source: "127.0.0.1".to_owned(),
    }
}

pub fn requirement(tree: &str, uses: u32) -> Requirement {
    let tree = Tree::from_json(&terms::json::parse(tree.as_bytes()).unwrap()).unwrap();
    let terms = Terms {
        pending_for: Millis::seconds(600),
        valid_for: Millis::seconds(900),
        uses: NonZeroU32::new(uses).unwrap(),
        binds: Binds::Everything,
    };
    Requirement { parts: [("release-approval".to_owned(), tree)].into(), terms }
}

pub const ONE: &str = r#"{"approvals":1,"from":"release-managers"}"#;
pub const TWO: &str = r#"{"approvals":2,"from":"release-managers"}"#;

/// The log so far.
pub struct Book {
    pub records: Vec<Record>,
    /// Leaves whose bodies are left out of the export.
    pub erased: BTreeSet<usize>,
    pub now: i64,
    nonces: u8,
}

impl Book {
    /// A log that began.
    pub fn new() -> Self {
        let mut book =
            Self { records: Vec::new(), erased: BTreeSet::new(), now: 1_700_000_000_000, nonces: 0 };
        book.add(Refs::default(), &started());
        book
    }

    /// A log in which the owner, Ann and Ben enrolled, and one access was challenged: elevation 1.
    pub fn challenged(tree: &str, uses: u32) -> Self {
        let mut book = Self::new();
        [owner(), ann(), ben()].iter().for_each(|person| book.enrol(person));
        book.challenge(1, &access("2.4.1"), requirement(tree, uses));
        book
    }

    /// A log in which Ann approved elevation 1, and grant 1 was issued.
    pub fn granted(uses: u32) -> Self {
        let mut book = Self::challenged(ONE, uses);
        let voted = book.vote(1, &ann(), Role::Approver);
        book.add(at_elevation(1), &voted);
        let granted = book.grant(ONE, uses, &[(&ann(), Role::Approver)]);
        book.add(grant_refs(&granted), &granted);
        book
    }

    pub fn time(&self) -> Time {
        Time::from_millis(self.now)
    }

    pub fn leaf(&self) -> u64 {
        self.records.len() as u64
    }

    /// Seals a record and gives its leaf.
    pub fn add<B: Body>(&mut self, refs: Refs, body: &B) -> u64 {
        self.now += 10;
        let n = u8::try_from(self.records.len()).unwrap();
        let id = RecordId::from_slice(&[&[9; 15][..], &[n]].concat()).unwrap();
        self.records.push(Draft::of(id, self.time(), "a", refs, body).seal([n; 16]));
        u64::from(n)
    }

    pub fn enrol(&mut self, person: &Person) {
        let enrolled = enrolled(person);
        self.add(Refs::default(), &enrolled);
    }

    pub fn challenge(&mut self, id: u8, access: &Access, requirement: Requirement) {
        let challenged = self.challenge_of(access, requirement);
        self.add(Refs { access_hash: Some(access.hash()), ..at_elevation(id) }, &challenged);
    }

    pub fn challenge_of(&self, access: &Access, requirement: Requirement) -> Challenged {
        Challenged {
            caller: who(),
            access: access.to_json(),
            access_hash: access.hash(),
            by: vec!["production-deploy".to_owned()],
            requirement_hash: requirement.hash(),
            expires_at: self.time().after(requirement.terms.pending_for),
            requirement,
            purpose: None,
            ticket: None,
            why: None,
        }
    }

    pub fn nonce(&mut self) -> String {
        self.nonces += 1;
        b64url(&[self.nonces; 32])
    }

    /// A vote on an elevation of version 2.4.1 that asks for one approval.
    pub fn vote(&mut self, id: u8, person: &Person, role: Role) -> Voted {
        let requirement = requirement(ONE, 1);
        self.vote_on(id, person, role, &access("2.4.1"), &requirement)
    }

    pub fn vote_on(
        &mut self,
        id: u8,
        person: &Person,
        role: Role,
        access: &Access,
        requirement: &Requirement,
    ) -> Voted {
        let card = card(elevation(id), access, requirement);
        let consent = Consent {
            elevation: elevation(id),
            access_hash: access.hash(),
            card_hash: card.hash(),
            requirement_hash: requirement.hash(),
            terms: requirement.terms.clone(),
            role,
        };
        let statement = self.statement(person, Matter::Consent(consent));
        Voted {
            human: person.human,
            name: "somebody".to_owned(),
            root: person.human,
            credential: person.credential.clone(),
            assertion: person.sign(&statement),
            statement,
            card: card.to_json(),
        }
    }

    pub fn statement(&mut self, person: &Person, matter: Matter) -> Statement {
        Statement {
            install: install(),
            matter,
            approver: person.human,
            credential: person.credential.clone(),
            expires: self.time().after(Millis::seconds(120)),
            nonce: self.nonce(),
        }
    }

    /// A signed act.
    pub fn act(&mut self, person: &Person, act: &str, subject: Json) -> Signed {
        let subject_hash = body::subject_hash(&subject);
        let statement = self.statement(person, Matter::Act { act: act.to_owned(), subject_hash });
        let assertion = person.sign(&statement);
        Signed { human: person.human, credential: person.credential.clone(), statement, subject, assertion }
    }

    pub fn grant(&self, tree: &str, uses: u32, voters: &[(&Person, Role)]) -> Granted {
        let (access, requirement) = (access("2.4.1"), requirement(tree, uses));
        Granted {
            access_hash: access.hash(),
            requirement_hash: requirement.hash(),
            matching: vec![Matched {
                part: "release-approval".to_owned(),
                leaf: "1 approval from release-managers".to_owned(),
                by: voters.iter().map(|(person, _)| person.human).collect(),
            }],
            voters: voters
                .iter()
                .map(|(person, role)| Voter {
                    human: person.human,
                    root: person.human,
                    role: *role,
                    groups: BTreeSet::from(["release-managers".to_owned()]),
                })
                .collect(),
            roots: who().roots,
            preparers: Preparers::default(),
            purpose: None,
            ticket: None,
            key_bound: false,
            bind_hash: access.bind_hash(&requirement.terms.binds),
            uses,
            not_after: self.time().after(requirement.terms.valid_for),
            requirement,
        }
    }

    /// Adds a spend of grant 1 by an attempt.
    pub fn spend(&mut self, n: u8) -> u64 {
        let (refs, spent) = spent(n);
        self.add(refs, &spent)
    }

    pub fn permit(&mut self, n: u8) -> u64 {
        let access = access("any");
        let permitted = Permitted {
            caller: who(),
            access: access.to_json(),
            access_hash: access.hash(),
            by: vec!["baseline".to_owned()],
        };
        let refs = Refs { attempt: Some(attempt(n)), access_hash: Some(access.hash()), ..by_caller() };
        self.add(refs, &permitted)
    }

    pub fn settle(&mut self, n: u8, outcome: Outcome) -> u64 {
        let settled = Settled {
            outcome,
            delivered: Some(true),
            took: Some(Millis::new(12)),
            why: None,
            touched: Touches::default(),
            captured: Captured::default(),
        };
        self.add(Refs { attempt: Some(attempt(n)), ..by_caller() }, &settled)
    }

    pub fn lock(&mut self, n: u8, kind: SubjectKind, id: String, until: Option<Time>) -> u64 {
        let subject = Subject { kind, id };
        let locked =
            Locked { lock: lock(n), subject, until, by: "os:1000".to_owned(), why: "odd".to_owned() };
        self.add(Refs::default(), &locked)
    }

    pub fn head(&self) -> Head {
        let hashes: Vec<_> = self.records.iter().map(|record| record.hash).collect();
        Head { size: self.leaf(), root: root(&hashes) }
    }

    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.records.iter().enumerate().map(|(leaf, record)| {
            let mut entry = Entry::of(leaf as u64, record.clone()).unwrap();
            if self.erased.contains(&leaf) {
                entry.contents = None;
            }
            entry
        });
        entries.collect()
    }

    pub fn export(&self) -> Vec<u8> {
        export(&self.entries(), &signing_key().checkpoint(self.head()))
    }

    pub fn verify(&self) -> Result<Report, Broken> {
        verify_bytes(&self.export())
    }
}

pub fn export(entries: &[Entry], note: &str) -> Vec<u8> {
    let key = signing_key();
    let header = Header {
        origin: key.verifier().name().to_owned(),
        install: install(),
        key: key.verifier().to_string(),
    };
    let mut writer = Writer::begin(Vec::new(), &header).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.end(note).unwrap()
}

pub fn verify_bytes(log: &[u8]) -> Result<Report, Broken> {
    let key = signing_key();
    verify(log, &Trust { key: key.verifier(), earlier: &[], assertions: &check })
}

pub fn enrolled(person: &Person) -> PasskeyEnrolled {
    PasskeyEnrolled {
        human: person.human,
        credential: person.credential.clone(),
        public_key: b64url(person.pair.public_key().as_ref()),
        aaguid: "00000000000000000000000000000000".to_owned(),
        sign_count: 0,
        backup_eligible: false,
        backed_up: false,
        by: "os:1000".to_owned(),
        signed: None,
    }
}

pub fn by_caller() -> Refs {
    Refs { caller: Some(caller()), ..Refs::default() }
}

pub fn at_elevation(n: u8) -> Refs {
    Refs { elevation: Some(elevation(n)), ..by_caller() }
}

pub fn grant_refs(granted: &Granted) -> Refs {
    Refs { grant: Some(grant(1)), access_hash: Some(granted.access_hash), ..at_elevation(1) }
}

pub fn spent(n: u8) -> (Refs, Spent) {
    let access = access("2.4.1");
    let requirement = requirement(ONE, 1);
    let spent = Spent {
        caller: who(),
        access: access.to_json(),
        access_hash: access.hash(),
        by: vec!["production-deploy".to_owned()],
        bind_hash: access.bind_hash(&Binds::Everything),
        requirement_hash: requirement.hash(),
    };
    let refs = Refs {
        grant: Some(grant(1)),
        attempt: Some(attempt(n)),
        access_hash: Some(access.hash()),
        ..at_elevation(1)
    };
    (refs, spent)
}

pub fn card(elevation: ElevationId, access: &Access, requirement: &Requirement) -> Card {
    Card {
        title: "Deploy to production".to_owned(),
        environment: "production".to_owned(),
        caller: CallerLine {
            name: "release-bot".to_owned(),
            owner: "olga".to_owned(),
            chain: Vec::new(),
            key_bound: false,
            key_prefix: "sk_abc".to_owned(),
            source: "127.0.0.1".to_owned(),
        },
        // The golden log is older than today's labels, and a log is checked by what it shows, not by how it names it.
        fields: terms::card::fields(access)
            .into_iter()
            .map(|field| Field { label: field.pointer.to_string(), ..field })
            .collect(),
        defaults: Vec::new(),
        references: Vec::new(),
        free: access.free(&requirement.terms.binds),
        touches: Vec::new(),
        claims: Claims::default(),
        unusual: Vec::new(),
        last_same: None,
        grants: requirement.terms.clone(),
        needed: Vec::new(),
        tool: ToolLine { digest: "sha256:…".to_owned(), reviewed: None },
        upstream: UpstreamLine { id: "ops".to_owned(), identity: "sha256:…".to_owned() },
        words: words(elevation, access.hash()).map(ToOwned::to_owned),
    }
}
