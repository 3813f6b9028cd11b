//! People and callers: adding them, giving and taking keys, groups, passkeys, sessions. Every one of these changes what
//! decisions rest on, so each is a record and a new epoch; and what gives power is asked of the rules first.

use audit::body;
use audit::record::{Kind, Refs};
use store::{
    Change, Commit, Failed, Human, Invite, Key, Member, Membership, OwnedBy, Principal, PrincipalRef,
    Refused, RegisteredCaller, Session,
};
use terms::hash::b64url;
use terms::{CallerId, CallerKind, Digest, HumanId, Json, KeyId, Millis, Part, Secret, Time};

use crate::authority::Authority;
use crate::ceremony::{Begun, Ceremonial, SignedAssertion, token_hash};
use crate::operator::{By, HOST, Operator, Stopped, said_of};
use crate::vote::NotCounted;

/// A key, the only time that it is in clear.
#[derive(Debug)]
pub struct NewKey {
    /// Its row.
    pub id: KeyId,
    /// What the caller keeps.
    pub key: Secret<String>,
}

/// What was added.
#[derive(Debug)]
pub enum Added<T> {
    /// It.
    Done(T),
    /// The name is taken.
    NameTaken,
    /// Something named does not exist; says what.
    Missing(String),
    /// It takes approval first, or is denied.
    Stopped(Stopped),
    /// The store refused for another reason.
    Refused(Refused),
}

/// A person to add or a caller to register.
#[derive(Clone, Debug)]
pub struct NewCaller {
    /// Its name.
    pub name: String,
    /// What kind.
    pub kind: CallerKind,
    /// The owner's name: a human, or another caller.
    pub owner: String,
    /// The groups it is in.
    pub groups: Vec<String>,
    /// Whom it acts through.
    pub act: Vec<String>,
}

/// How long an invitation is good.
const INVITED_FOR: Millis = Millis::seconds(3 * 24 * 3600);

/// Characters of a key that people may see.
const PREFIX: usize = 14;

impl Authority {
    /// Adds a person with an invitation to enrol a passkey, in those of the groups that the rules let them be put in with nobody's
    /// approval: into the others they are put as anybody is ([`Self::set_member`]). Answers the invitation's token.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn add_human(
        &self,
        name: &str,
        groups: &[String],
        by: &By,
    ) -> Result<Added<(HumanId, Secret<String>)>, Failed> {
        if self.active().caller_named(name).is_some() || self.active().human_named(name).is_some() {
            return Ok(Added::NameTaken);
        }
        if let Some(reserved) = reserved(groups) {
            return Ok(reserved);
        }
        let groups = &self.freely_in(name, groups, by).await?;
        let asked = Json::object([
            ("act", Json::from("add")),
            ("name", Json::from(name)),
            ("groups", Json::from(groups.clone())),
        ]);
        let leave = match self.leave(by, Part::People, asked).await? {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Added::Stopped(stopped)),
        };
        let by = &by.to_string();
        let id = HumanId::fresh(self.ambient.as_ref());
        let row = Human { id, root: id, name: name.to_owned(), disabled_at: None, added_by: by.to_owned() };
        let said = Json::object([
            ("human", Json::from(id)),
            ("root", Json::from(id)),
            ("name", Json::from(name)),
            ("groups", Json::from(groups.clone())),
            ("by", Json::from(by.as_str())),
        ]);
        let (token, invite) = self.invitation(id, by);
        let mut commit = self.plain(Kind::HumanAdded, leave.refs(Refs::default()), said);
        commit.changes.push(Change::Register(Principal::Human(row)));
        commit.changes.extend(memberships(Member::Human(id), groups));
        commit.changes.push(Change::Register(Principal::Invite(invite)));
        Ok(added(self.enact(leave, commit).await?, (id, token)))
    }

    /// Invites a known person to enrol a passkey, the first or one more; earlier invitations of that person are over.
    /// Answers the invitation's token.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn invite(&self, name: &str, by: &By) -> Result<Added<Secret<String>>, Failed> {
        let active = self.active();
        let Some(human) = active.human_named(name).filter(|h| h.disabled_at.is_none()) else {
            return Ok(Added::Missing(format!("person named {name}")));
        };
        let asked = Json::object([("act", "invite"), ("name", name)]);
        let leave = match self.leave(by, Part::People, asked).await? {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Added::Stopped(stopped)),
        };
        let by = &by.to_string();
        let (token, invite) = self.invitation(human.id, by);
        let said = Json::object([
            ("human", Json::from(human.id)),
            ("name", Json::from(name)),
            ("invited_by", Json::from(by.as_str())),
        ]);
        let mut commit = self.plain(Kind::HumanChanged, leave.refs(Refs::default()), said);
        commit.changes.push(Change::Register(Principal::Invite(invite)));
        Ok(added(self.enact(leave, commit).await?, token))
    }

    /// Says whose an account of this machine is: who uses it acts as that person, and nothing that it asks for is approved by
    /// them.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn own_account(&self, name: &str, uid: u32, by: &By) -> Result<Added<CallerId>, Failed> {
        let active = self.active();
        let Some(human) = active.human_named(name).filter(|h| h.disabled_at.is_none()) else {
            return Ok(Added::Missing(format!("person named {name}")));
        };
        let account = Operator::Account(uid).to_string();
        if active.caller_named(&account).is_some() {
            return Ok(Added::NameTaken);
        }
        let asked = Json::object([("act", "account"), ("name", name), ("account", account.as_str())]);
        let leave = match self.leave(by, Part::People, asked).await? {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Added::Stopped(stopped)),
        };
        let row = self.operator_row(&account, human.id);
        let id = row.id;
        let refs = leave.refs(Refs { caller: Some(id), ..Refs::default() });
        let mut commit = self.plain(Kind::CallerAdded, refs, said_of(&row, name, by.to_string()));
        commit.changes.push(Change::Register(Principal::Caller(row)));
        Ok(added(self.enact(leave, commit).await?, id))
    }

    fn invitation(&self, human: HumanId, by: &str) -> (Secret<String>, Invite) {
        let token = self.token("invite");
        let until = self.now().after(INVITED_FOR);
        let invite = Invite { hash: token_hash(token.expose()), human, until, by: by.to_owned() };
        (token, invite)
    }

    /// 32 random bytes with a typed prefix.
    fn token(&self, prefix: &str) -> Secret<String> {
        let mut bytes = [0; 32];
        self.ambient.fill(&mut bytes);
        Secret::new(format!("{prefix}_{}", b64url(&bytes)))
    }

    /// Registers a caller and gives it its first key, in groups as [`Self::add_human`] does.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn add_caller(&self, new: &NewCaller, by: &By) -> Result<Added<(CallerId, NewKey)>, Failed> {
        let active = self.active();
        if active.human_named(&new.name).is_some() {
            return Ok(Added::NameTaken); // an owner's name must say who it is
        }
        let human = active.human_named(&new.owner).filter(|h| h.disabled_at.is_none());
        let human = human.map(|h| OwnedBy::Human(h.id));
        let caller = active.caller_named(&new.owner).filter(|c| c.disabled_at.is_none());
        let owner = human.or_else(|| caller.map(|c| OwnedBy::Caller(c.id)));
        let Some(owner) = owner else {
            return Ok(Added::Missing(format!("owner named {}", new.owner)));
        };
        if let Some(actor) = new.act.iter().find(|name| active.caller_named(name).is_none()) {
            return Ok(Added::Missing(format!("caller named {actor}")));
        }
        if active.caller_named(&new.name).is_some() {
            return Ok(Added::NameTaken);
        }
        if let Some(reserved) = reserved(&new.groups) {
            return Ok(reserved);
        }
        if new.kind == CallerKind::Operator {
            return Ok(Added::Missing("operator that has a key".to_owned()));
        }
        let groups = self.freely_in(&new.name, &new.groups, by).await?;
        let asked = Json::object([
            ("act", Json::from("add")),
            ("name", Json::from(new.name.as_str())),
            ("kind", Json::from(new.kind.name())),
            ("owner", Json::from(new.owner.as_str())),
            ("through", Json::from(new.act.clone())),
            ("groups", Json::from(groups.clone())),
        ]);
        let leave = match self.leave(by, Part::Callers, asked).await? {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Added::Stopped(stopped)),
        };
        let by = by.to_string();
        let id = CallerId::fresh(self.ambient.as_ref());
        let row = RegisteredCaller {
            id,
            name: new.name.clone(),
            kind: new.kind,
            owner,
            act: new.act.clone(),
            disabled_at: None,
        };
        let (key, stored) = self.new_key(id);
        let said = Json::object([
            ("name", Json::from(new.name.as_str())),
            ("kind", Json::from(new.kind.name())),
            ("owner", Json::from(new.owner.as_str())),
            ("act", Json::from(new.act.clone())),
            ("groups", Json::from(groups.clone())),
            ("key", Json::from(key.id)),
            ("key_prefix", Json::from(stored.prefix.as_str())),
            ("by", Json::from(by.as_str())),
        ]);
        let refs = leave.refs(Refs { caller: Some(id), ..Refs::default() });
        let mut commit = self.plain(Kind::CallerAdded, refs, said);
        commit.changes.push(Change::Register(Principal::Caller(row)));
        commit.changes.extend(memberships(Member::Caller(id), &groups));
        commit.changes.push(Change::Register(Principal::Key(stored)));
        Ok(added(self.enact(leave, commit).await?, (id, key)))
    }

    fn new_key(&self, caller: CallerId) -> (NewKey, Key) {
        let key = self.token("stepup");
        let id = KeyId::ordered(self.ambient.as_ref());
        let stored = Key {
            id,
            caller,
            prefix: key.expose().chars().take(PREFIX).collect(),
            hash: token_hash(key.expose()),
            not_after: None,
            revoked_at: None,
        };
        (NewKey { id, key }, stored)
    }

    /// Gives a caller a new key; the old ones are good for `overlap` more.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn rotate(&self, name: &str, overlap: Millis, by: &By) -> Result<Added<NewKey>, Failed> {
        let active = self.active();
        let has_keys =
            |row: &&RegisteredCaller| row.kind != CallerKind::Operator && row.disabled_at.is_none();
        let Some(caller) = active.caller_named(name).filter(has_keys) else {
            return Ok(Added::Missing(format!("caller named {name}")));
        };
        let asked = Json::object([("act", "rotate"), ("name", name), ("overlap", &overlap.to_string())]);
        let leave = match self.leave(by, Part::Callers, asked).await? {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Added::Stopped(stopped)),
        };
        let by = by.to_string();
        let (key, stored) = self.new_key(caller.id);
        let until = self.now().after(overlap);
        let said = Json::object([
            ("key", Json::from(key.id)),
            ("key_prefix", Json::from(stored.prefix.as_str())),
            ("others_until", Json::from(until)),
            ("by", Json::from(by.as_str())),
        ]);
        let refs = leave.refs(Refs { caller: Some(caller.id), ..Refs::default() });
        let mut commit = self.plain(Kind::CallerKeyAdded, refs, said);
        for old in active.keys_of(caller.id).filter(|k| k.revoked_at.is_none()) {
            commit.changes.push(Change::Retire(PrincipalRef::KeyAfter(old.id, until)));
        }
        commit.changes.push(Change::Register(Principal::Key(stored)));
        Ok(added(self.enact(leave, commit).await?, key))
    }

    /// Disables a caller: its key opens nothing any more, its grants are revoked, and no permit of it is left.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn disable_caller(&self, name: &str, by: &By) -> Result<Added<()>, Failed> {
        let active = self.active();
        // Whose an account is does not end: it would be nobody's, and under no rule about its person.
        let Some(caller) = active.caller_named(name).filter(|row| row.kind != CallerKind::Operator) else {
            return Ok(Added::Missing(format!("caller named {name}")));
        };
        let refs = Refs { caller: Some(caller.id), ..Refs::default() };
        let by = by.to_string();
        let said = Json::object([("name", name), ("by", &by)]);
        let mut commit = self.plain(Kind::CallerDisabled, refs, said);
        commit.changes.push(Change::Retire(PrincipalRef::Caller(caller.id)));
        let grants = self.live_grants(caller.id).await?;
        if !grants.is_empty() {
            let why = "its caller was disabled".to_owned();
            let record = body::Revoked { grants, by, why };
            commit.records.push(self.record(Refs { caller: Some(caller.id), ..Refs::default() }, &record));
        }
        let answer = self.commit(commit).await?;
        self.quiet().await;
        Ok(added(answer, ()))
    }

    /// Disables a person: signed out, and no vote of theirs counts any more.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn disable_human(&self, name: &str, by: &By) -> Result<Added<()>, Failed> {
        let active = self.active();
        let Some(human) = active.human_named(name) else {
            return Ok(Added::Missing(format!("person named {name}")));
        };
        let said = Json::object([
            ("human", Json::from(human.id)),
            ("name", Json::from(name)),
            ("by", Json::from(by.to_string())),
        ]);
        let mut commit = self.plain(Kind::HumanDisabled, Refs::default(), said);
        commit.changes.push(Change::Retire(PrincipalRef::Human(human.id)));
        Ok(added(self.commit(commit).await?, ()))
    }

    /// Those of some groups that the rules let somebody new be put in with nobody's approval. To be in a group is a change of its
    /// own, however a member comes to be there.
    async fn freely_in(&self, name: &str, groups: &[String], by: &By) -> Result<Vec<String>, Failed> {
        let mut free = Vec::new();
        for group in groups {
            if self.free(by, Part::Groups, membership(true, group, name)).await? {
                free.push(group.clone());
            }
        }
        Ok(free)
    }

    /// Puts a member, a person or a caller, into a group or takes it out.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn set_member(&self, group: &str, name: &str, is: bool, by: &By) -> Result<Added<()>, Failed> {
        let active = self.active();
        let human = active.human_named(name).map(|h| Member::Human(h.id));
        let Some(member) = human.or_else(|| active.caller_named(name).map(|c| Member::Caller(c.id))) else {
            return Ok(Added::Missing(format!("person and no caller named {name}")));
        };
        if let Some(reserved) = reserved(&[group.to_owned()]).filter(|_| is) {
            return Ok(reserved);
        }
        if active.groups_of_member(member).contains(group) == is {
            return Ok(Added::Done(()));
        }
        let leave = match self.leave(by, Part::Groups, membership(is, group, name)).await? {
            Ok(leave) => leave,
            Err(stopped) => return Ok(Added::Stopped(stopped)),
        };
        let said = Json::object([
            ("group", Json::from(group)),
            ("member", Json::from(name)),
            ("in", Json::from(is)),
            ("by", Json::from(by.to_string())),
        ]);
        let mut commit = self.plain(Kind::GroupChanged, leave.refs(Refs::default()), said);
        let membership = Membership { group: group.to_owned(), member };
        commit.changes.push(if is {
            Change::Register(Principal::Member(membership))
        } else {
            Change::Retire(PrincipalRef::Member(membership))
        });
        Ok(added(self.enact(leave, commit).await?, ()))
    }

    /// Begins to sign in with any passkey.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn begin_sign_in(&self) -> Result<Begun, Failed> {
        self.keep_act(&Ceremonial::SignIn, None, Json::object([("act", "sign-in")])).await
    }

    /// Signs a person in. Answers the session's token.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] with the reason that the person is told.
    pub async fn sign_in(
        &self,
        signed: &SignedAssertion,
    ) -> Result<Result<(HumanId, Secret<String>), NotCounted>, Failed> {
        let witnessed = match self.witness(&Ceremonial::SignIn, None, signed).await? {
            Ok(witnessed) => witnessed,
            Err(refused) => return Ok(Err(refused)),
        };
        let human = witnessed.passkey.human;
        let change = witnessed.change();
        Ok(self.open_session(human, vec![change]).await?.map(|token| (human, token)))
    }

    /// Opens a session for a person who has just proved a passkey.
    ///
    /// # Errors
    /// [`Failed`] when the store does; [`NotCounted`] when it refused.
    pub async fn open_session(
        &self,
        human: HumanId,
        mut changes: Vec<Change>,
    ) -> Result<Result<Secret<String>, NotCounted>, Failed> {
        let token = self.token("session");
        let (auth_at, until) = (self.now(), self.now().after(self.settings.session));
        changes.push(Change::OpenSession(Session {
            hash: token_hash(token.expose()),
            human,
            auth_at,
            until,
        }));
        let said = Json::object([("human", Json::from(human)), ("until", Json::from(until))]);
        let mut commit = self.plain(Kind::SignedIn, Refs::default(), said);
        commit.changes = changes;
        let answer = self.commit(commit).await?;
        Ok(answer.map(|_| token).map_err(NotCounted::NotRecorded))
    }

    /// Who a session's token belongs to.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn session(&self, token: &str) -> Result<Option<(Human, Session)>, Failed> {
        let session = self.store.session(token_hash(token)).await?;
        let active = self.active();
        Ok(session.and_then(|s| Some((active.human(s.human)?.clone(), s))))
    }

    /// Ends one session, or all of that person.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn sign_out(&self, human: HumanId, only: Option<Digest>) -> Result<(), Failed> {
        let changes = vec![Change::CloseSessions { human, only }];
        let _ = self.commit(Commit { changes, records: Vec::new() }).await?;
        Ok(())
    }

    /// A commit with one record of a kind whose body nobody but people reads.
    pub(crate) fn plain(&self, kind: Kind, refs: Refs, said: Json) -> Commit {
        Commit { changes: Vec::new(), records: vec![self.record_of(kind, refs, said)] }
    }

    /// Notes that the log was exported.
    ///
    /// # Errors
    /// [`Failed`] when the store does.
    pub async fn exported(&self, by: &str, size: u64) -> Result<(), Failed> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let said = Json::object([("by", Json::from(by)), ("size", Json::from(size))]);
        let _ = self.commit(self.plain(Kind::Exported, Refs::default(), said)).await?;
        Ok(())
    }

    /// Until when an invitation made now is good.
    #[must_use]
    pub fn invited_until(&self) -> Time {
        self.now().after(INVITED_FOR)
    }
}

/// What is asked of whoever is to be in a group, or not any more.
fn membership(is: bool, group: &str, name: &str) -> Json {
    Json::object([("act", if is { "add" } else { "remove" }), ("group", group), ("name", name)])
}

fn memberships(member: Member, groups: &[String]) -> impl Iterator<Item = Change> + '_ {
    let one = move |group: &String| Membership { group: group.clone(), member };
    groups.iter().map(move |group| Change::Register(Principal::Member(one(group))))
}

/// The group of this machine's accounts holds nobody else.
fn reserved<T>(groups: &[String]) -> Option<Added<T>> {
    let host = groups.iter().any(|group| group == HOST);
    host.then(|| Added::Missing(format!("group {HOST} to be in: it is that of this machine's accounts")))
}

pub(crate) fn added<T>(answer: Result<store::Receipt, Refused>, value: T) -> Added<T> {
    match answer {
        Ok(_) => Added::Done(value),
        Err(Refused::NameTaken) => Added::NameTaken,
        Err(other) => Added::Refused(other),
    }
}
