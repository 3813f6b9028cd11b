//! Who changes what decisions rest on, and whether they may: the rules are asked, as for any access (decisions A21). What they
//! permit is done; what they step up is an elevation like any other, and is done once that is approved and it is asked for
//! again; all else is denied. Where no rules are in force there is nothing to ask.

use std::sync::Arc;

use audit::record::{Kind as Recorded, Refs};
use policy::{Judgement, Outlook};
use store::{Change, Commit, Failed, OwnedBy, Principal, Receipt, Refused, RegisteredCaller};
use terms::access::SealKey;
use terms::{Access, Action, Caller, CallerId, CallerKind, HumanId, Json, Outcome, Part, Secrets, Slug};

use crate::authority::Authority;
use crate::decide::{Ask, Case, names};
use crate::permit::{Permit, Settlement};
use crate::ruling::{Challenge, Denial, Ruling};
use crate::target::{of_part, own_identity};
use crate::vote::NotCounted;

/// The group that every account of this machine is in.
pub const HOST: &str = "host";

/// What the name of an account begins with: no caller that is registered on the command line can have a colon in its name.
pub(crate) const ACCOUNT: &str = "os:";
/// What the name of a person at the console begins with, as who administers.
pub const CONSOLE: &str = "console:";

/// Who administers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// An account of this machine: at the command line, or as the owner of the policy folder.
    Account(u32),
    /// A person at the console.
    Person(HumanId),
}

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(uid) => write!(f, "{ACCOUNT}{uid}"),
            Self::Person(human) => human.fmt(f),
        }
    }
}

/// Who administers, and what they say beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub who: Operator,
    /// Why, as they say.
    pub purpose: Option<String>,
    /// Under which ticket, as they say.
    pub ticket: Option<String>,
}

impl By {
    /// An account of this machine that says nothing more.
    #[must_use]
    pub const fn account(uid: u32) -> Self {
        Self::saying_nothing(Operator::Account(uid))
    }

    /// Who says nothing more.
    #[must_use]
    pub const fn saying_nothing(who: Operator) -> Self {
        Self { who, purpose: None, ticket: None }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.who.fmt(f)
    }
}

/// Why something was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It takes approval first: this request waits for it.
    Asked(Box<Challenge>),
    /// The rules, or a person, said no.
    Denied(Denial),
}

impl From<Stopped> for NotCounted {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Asked(challenge) => Self::Asked(challenge.elevation),
            Stopped::Denied(denial) => Self::NotLet(denial.slug),
        }
    }
}

/// The leave to make one change.
#[must_use = "what may be changed is changed, or the leave is for nothing"]
pub(crate) struct Leave {
    permit: Option<Permit>,
}

/// A change on its way to the store. It is committed with its outcome, so one that was dropped without a word was not made.
#[must_use = "a change that was begun ends"]
pub(crate) struct Doing {
    settlement: Option<Settlement>,
}

impl Leave {
    pub(crate) const FREE: Self = Self { permit: None };

    /// The same references, and what the leave rests on.
    pub(crate) fn refs(&self, refs: Refs) -> Refs {
        let permit = self.permit.as_ref();
        let (attempt, grant) = (permit.and_then(Permit::attempt), permit.and_then(Permit::grant));
        Refs { attempt, grant, ..refs }
    }

    /// Begins. Nothing leaves us: until the store has it, nothing was done.
    pub(crate) fn begin(self) -> Result<Doing, Refused> {
        let Some(permit) = self.permit else { return Ok(Doing { settlement: None }) };
        let (_, settlement) = permit.embark().map_err(|_| Refused::Conflict)?;
        Ok(Doing { settlement: Some(settlement) })
    }
}

impl Authority {
    /// Whether somebody may change a part of this installation so. `said` names the act, and what it is done to: whoever approves
    /// it signs exactly that.
    pub(crate) async fn leave(
        &self,
        by: &By,
        part: Part,
        said: Json,
    ) -> Result<Result<Leave, Stopped>, Failed> {
        let active = self.active();
        let ask = self.asked(active.people.operator(by.who), by, part, said)?;
        let case = Case { active: &active, ask: &ask, caller: Arc::clone(&ask.caller), back: None };
        let there = match by.who {
            Operator::Account(_) => true,
            Operator::Person(human) => active.human(human).is_some(),
        };
        let (slug, by) = match self.rules_say(&case, part).await? {
            _ if !there => (Slug::CredentialInvalid, Vec::new()),
            None | Some(Judgement::Permit { .. }) => return Ok(Ok(Leave::FREE)),
            Some(Judgement::StepUp { by, .. }) if ask.caller.roots.is_empty() => (Slug::NobodyMayApprove, by),
            Some(Judgement::StepUp { .. }) => return self.stepped(by.who, &ask).await,
            Some(Judgement::Deny { by, why }) => (why.slug(), by),
        };
        self.deny(&case, Denial::of(slug), &names(&by)).await.map(ruled)
    }

    /// Whether the rules leave it open that a person changes a part, alone or with others: what they do not is not offered.
    #[must_use]
    pub fn may_administer(&self, human: HumanId, part: Part) -> bool {
        let active = self.active();
        let Some(set) = active.set.as_ref() else { return true };
        let who = active.people.operator(Operator::Person(human));
        set.outlook(&who, &of_part(part).judged) != Outlook::Never
    }

    /// Whether it is permitted as it is. Nothing comes of asking.
    pub(crate) async fn free(&self, by: &By, part: Part, said: Json) -> Result<bool, Failed> {
        let active = self.active();
        let ask = self.asked(active.people.operator(by.who), by, part, said)?;
        let case = Case { active: &active, ask: &ask, caller: Arc::clone(&ask.caller), back: None };
        let says = self.rules_say(&case, part).await?;
        Ok(matches!(says, None | Some(Judgement::Permit { .. })))
    }

    /// What the rules in force say; `None` where there are none.
    async fn rules_say(&self, case: &Case<'_>, part: Part) -> Result<Option<Judgement>, Failed> {
        let Case { active, ask, caller, .. } = case;
        let Some(set) = active.set.as_ref() else { return Ok(None) };
        let moment = self.moment(active, caller.id, &ask.access, &ask.source).await?;
        Ok(Some(policy::judge(set, &case.question(&of_part(part), &moment))))
    }

    async fn stepped(&self, who: Operator, ask: &Ask) -> Result<Result<Leave, Stopped>, Failed> {
        let caller = self.known_operator(who, &ask.caller).await?;
        self.decide(&Ask { caller, ..ask.clone() }).await.map(ruled)
    }

    /// Who asks, as a caller whose requests can wait: a person at the console becomes one when something waits for them first.
    async fn known_operator(&self, who: Operator, caller: &Arc<Caller>) -> Result<Arc<Caller>, Failed> {
        let Operator::Person(human) = who else { return Ok(Arc::clone(caller)) };
        if caller.id != CallerId::NIL {
            return Ok(Arc::clone(caller));
        }
        let row = self.operator_row(&caller.name, human);
        let refs = Refs { caller: Some(row.id), ..Refs::default() };
        let mut commit = self.plain(Recorded::CallerAdded, refs, said_of(&row, &caller.owner, human));
        commit.changes.push(Change::Register(Principal::Caller(row)));
        // Somebody else's page may have been quicker: then it is there.
        let _ = self.commit(commit).await?;
        Ok(self.active().people.operator(who))
    }

    pub(crate) fn operator_row(&self, name: &str, owner: HumanId) -> RegisteredCaller {
        RegisteredCaller {
            id: CallerId::fresh(self.ambient.as_ref()),
            name: name.to_owned(),
            kind: CallerKind::Operator,
            owner: OwnedBy::Human(owner),
            act: Vec::new(),
            disabled_at: None,
        }
    }

    /// The access that a change is.
    fn asked(&self, caller: Arc<Caller>, by: &By, part: Part, said: Json) -> Result<Ask, Failed> {
        let access = access(&caller, part, said, self.seal_key())?;
        Ok(Ask {
            source: String::new(),
            caller,
            access,
            secrets: Secrets::default(),
            purpose: by.purpose.clone(),
            ticket: by.ticket.clone(),
            once: None,
        })
    }

    /// Makes a change that there is leave for.
    pub(crate) async fn enact(
        &self,
        leave: Leave,
        mut commit: Commit,
    ) -> Result<Result<Receipt, Refused>, Failed> {
        let doing = match leave.begin() {
            Ok(doing) => doing,
            Err(refused) => return Ok(Err(refused)),
        };
        self.with_outcome(&mut commit, &doing);
        let answer = self.commit(commit).await?;
        match answer {
            Ok(_) => self.recorded(doing),
            Err(_) => self.done(doing, Outcome::Failed).await?,
        }
        Ok(answer)
    }

    /// Adds to the commit of a change that it is done: either both are in the store or neither is.
    pub(crate) fn with_outcome(&self, commit: &mut Commit, doing: &Doing) {
        if let Some(settlement) = &doing.settlement {
            self.settled_with(commit, settlement.attempt());
        }
    }

    /// A change was committed with its outcome.
    pub(crate) fn recorded(&self, doing: Doing) {
        if let Some(settlement) = doing.settlement {
            settlement.recorded();
            self.watch.changed();
        }
    }

    /// Says how a change ended that was not committed.
    pub(crate) async fn done(&self, doing: Doing, outcome: Outcome) -> Result<(), Failed> {
        match doing.settlement {
            Some(settlement) => self.settle(settlement, outcome, None).await,
            None => Ok(()),
        }
    }
}

/// The access that a change is: a small one, as everything that is said in it is shown.
pub(crate) fn access(caller: &Caller, part: Part, said: Json, seal: &SealKey) -> Result<Access, Failed> {
    let target = of_part(part);
    let resource = target.resource(own_identity());
    let action = Action::Administer.name();
    let made = Access::new(caller.subject(), action, resource, said, &[], seal);
    let (access, _) =
        made.map_err(|why| Failed { doing: "asking for a change", because: why.to_string() })?;
    Ok(access)
}

fn ruled(ruling: Ruling) -> Result<Leave, Stopped> {
    match ruling {
        Ruling::Permitted(permit) => Ok(Leave { permit: Some(permit) }),
        Ruling::Challenged(challenge) => Err(Stopped::Asked(challenge)),
        Ruling::Denied(denial) => Err(Stopped::Denied(denial)),
    }
}

/// What a record says of an operator's row.
pub(crate) fn said_of(row: &RegisteredCaller, owner: &str, by: impl Into<Json>) -> Json {
    Json::object([
        ("name", Json::from(row.name.as_str())),
        ("kind", Json::from(row.kind.name())),
        ("owner", Json::from(owner)),
        ("by", by.into()),
    ])
}
