//! The Permit: proof that one access may run now, once. Made only by [`crate::Authority::decide`], only from
//! the store's `Claimed`; neither copied nor printed; consumed by what forwards it (R1).
//!
//! ```compile_fail
//! fn twice(permit: authority::Permit) -> (authority::Permit, authority::Permit) {
//!     (permit.clone(), permit)
//! }
//! ```
//!
//! ```compile_fail
//! let forged = authority::Permit { load: todo!() };
//! ```

use std::sync::Arc;

use elevation::Outcome;
use store::Claimed;
use terms::{Access, AttemptId, Boottime, CallerId, GrantId, Json, Secrets, Slug};

use crate::bundle::Capture;
use crate::captured::{Captured, Sealed};
use crate::live::Ticket;
use crate::settle::{Ended, Settler};
use crate::touching::Trail;

/// Proof that one access may run now, once.
#[must_use = "a permit that is not forwarded is settled as not sent"]
pub struct Permit {
    load: Option<Box<Load>>,
}

/// Taken out as a whole, so that dropping a permit knows whether it was used.
struct Load {
    claimed: Claimed,
    access: Access,
    secrets: Secrets,
    caller: CallerId,
    /// Whether its outcome is recorded before anyone is answered, grant or not.
    awaited: bool,
    trail: Option<Box<Trail>>,
    until: Boottime,
    ticket: Ticket,
    settler: Arc<Settler>,
}

/// A claim on its way to the store. Whoever gives up waiting for it, or is not told what became of it, settles
/// it as not sent: if it was applied after all, nobody has its permit.
pub(crate) struct Claiming {
    pub(crate) attempt: AttemptId,
    pub(crate) until: Boottime,
    ticket: Option<Ticket>,
    settler: Arc<Settler>,
    trail: Option<Box<Trail>>,
}

/// Why a permit cannot be used any more. It has been settled as not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the permit cannot be used any more: {0}")]
pub struct Stale(pub Slug);

impl Claiming {
    pub(crate) fn new(
        attempt: AttemptId,
        until: Boottime,
        ticket: Ticket,
        (settler, trail): (Arc<Settler>, Option<Box<Trail>>),
    ) -> Self {
        Self { attempt, until, ticket: Some(ticket), settler, trail }
    }

    /// The store said no: there is nothing to settle.
    pub(crate) fn refused(mut self) {
        self.ticket = None;
    }

    /// `Claimed` names the access that the store claimed; a permit for another does not come to be.
    pub(crate) fn permit(
        mut self,
        claimed: Claimed,
        caller: CallerId,
        (access, secrets, once): (Access, Secrets, bool),
    ) -> Option<Permit> {
        if claimed.access() != access.hash() || claimed.attempt() != self.attempt {
            return None;
        }
        let ticket = self.ticket.take()?;
        let (until, settler, trail) = (self.until, Arc::clone(&self.settler), self.trail.take());
        // Who is told what was touched may go on with it at once.
        let awaited = once || trail.is_some();
        let load = Load { claimed, access, secrets, caller, awaited, trail, until, ticket, settler };
        Some(Permit { load: Some(Box::new(load)) })
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        if self.ticket.take().is_some() {
            self.settler.settle(Ended::not_sent(self.attempt, self.trail.take()));
        }
    }
}

impl Permit {
    /// The attempt that this permits.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        self.load.as_ref().map(|load| load.claimed.attempt())
    }

    /// The grant that was spent for it; `None` at baseline.
    #[must_use]
    pub fn grant(&self) -> Option<GrantId> {
        self.load.as_ref().and_then(|load| load.claimed.grant())
    }

    /// Whether its outcome is recorded before anyone is answered: a grant was spent for it, it is to be done once, or it touches
    /// what others go on with.
    #[must_use]
    pub fn awaited(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.awaited || load.claimed.grant().is_some())
    }

    /// The access that it permits.
    #[must_use]
    pub fn access(&self) -> Option<&Access> {
        self.load.as_ref().map(|load| &load.access)
    }

    /// Turns the permit into what is sent, just before the first byte. Looks once more whether it is in time,
    /// and whether a lock has come since or its caller is gone (B28, T123). New rules are not looked at: they are
    /// acknowledged only once every permit that was made before is gone.
    ///
    /// # Errors
    /// [`Stale`] when it may not run any more; then it is settled as not sent.
    pub fn embark(mut self) -> Result<(Cargo, Settlement), Stale> {
        let awaited = self.awaited();
        let Some(mut load) = self.load.take().map(|load| *load) else { return Err(Stale(Slug::Busy)) };
        let settlement = Settlement {
            attempt: load.claimed.attempt(),
            awaited,
            sent: false,
            ended: None,
            trail: load.trail.take(),
            ticket: Some(load.ticket),
            settler: Some(Arc::clone(&load.settler)),
        };
        load.settler.still(load.caller, &load.access, load.until).map_err(Stale)?;
        // A secret that has no place in the access: nothing may go out that was not judged.
        let arguments = load.secrets.open(&load.access).map_err(|_| Stale(Slug::StateInvalid))?;
        let state = load.secrets.open_state(&load.access).map_err(|_| Stale(Slug::StateInvalid))?;
        let credential = load.settler.captured(&load.access)?;
        let cargo =
            Cargo { attempt: load.claimed.attempt(), access: load.access, arguments, state, credential };
        Ok((cargo, settlement))
    }
}

impl Permit {
    /// Gives the permit to another enforcement point, which asked for it and carries out what was judged: looks once more, as
    /// [`Permit::embark`] does. Nothing is handed out but the attempt.
    ///
    /// # Errors
    /// [`Stale`] when it may not run any more; then it is settled as not sent.
    pub fn release(self) -> Result<Settlement, Stale> {
        let (_, mut settlement) = self.embark()?;
        settlement.sending();
        Ok(settlement)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(load) = self.load.take() {
            load.settler.settle(Ended::not_sent(load.claimed.attempt(), load.trail));
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("attempt", &self.attempt()).finish_non_exhaustive()
    }
}

/// What goes to the upstream: written from the access that was judged, never from received bytes (R2).
pub struct Cargo {
    /// The attempt.
    pub attempt: AttemptId,
    /// The access, secrets sealed.
    pub access: Access,
    /// The arguments in clear, for the wire only.
    pub arguments: Json,
    /// What the upstream wants back, where the access continues what it stopped to ask.
    pub state: Option<Json>,
    /// What authenticates us there, where an answer held that.
    pub credential: Option<Captured>,
}

/// The duty to say how an attempt ended. Dropped without a word, it is settled as not sent when no byte left
/// us, and as unknown otherwise: never silence.
#[must_use = "an attempt that was sent has an outcome"]
pub struct Settlement {
    attempt: AttemptId,
    awaited: bool,
    sent: bool,
    ended: Option<(Outcome, Option<bool>)>,
    trail: Option<Box<Trail>>,
    ticket: Option<Ticket>,
    settler: Option<Arc<Settler>>,
}

impl Settlement {
    /// The attempt.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Whether its outcome is recorded before anyone is answered: see [`Permit::awaited`].
    #[must_use]
    pub const fn awaited(&self) -> bool {
        self.awaited
    }

    /// The first byte is about to leave: from here on silence means unknown.
    pub fn sending(&mut self) {
        self.sent = true;
        self.ticket = None;
    }

    /// Whether a byte may have left.
    #[must_use]
    pub const fn sent(&self) -> bool {
        self.sent
    }

    /// Whether somebody has to read its answer before it is settled.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.trail.is_some()
    }

    /// What was answered, of which it is read what was touched; `None` where nobody can read it.
    pub fn answered(&mut self, answer: Option<&Json>) {
        if let Some(trail) = &mut self.trail {
            trail.answered(answer);
        }
    }

    /// It has no answer of its own: what it touches, the call says within which it was an answer.
    pub fn answers_nothing(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.answers_nothing();
        }
    }

    /// What of its answer is a new credential: where that is, nobody else sees the answer with it.
    #[must_use]
    pub fn captures(&self) -> Option<&Capture> {
        self.trail.as_ref().and_then(|trail| trail.captures())
    }

    pub(crate) fn captured(&mut self, sealed: Sealed) -> bool {
        let trail = self.trail.as_mut().filter(|trail| trail.captures().is_some());
        trail.map(|trail| trail.captured = Some(sealed)).is_some()
    }

    /// What people are told of its outcome.
    pub fn because(&mut self, why: &'static str) {
        if let Some(trail) = &mut self.trail {
            trail.why = Some(why);
        }
    }

    /// It is known how it ended: what is dropped from here on says that.
    pub(crate) fn ended(&mut self, outcome: Outcome, delivered: Option<bool>) -> Ended {
        self.ended = Some((outcome, delivered));
        self.ticket = None;
        Ended { attempt: self.attempt, outcome, delivered, trail: self.trail.clone() }
    }

    /// How it ended is recorded.
    pub(crate) fn recorded(mut self) {
        self.settler = None;
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if let Some(settler) = self.settler.take() {
            let silence = if self.sent { Outcome::Unknown } else { Outcome::NotSent };
            let (outcome, delivered) = self.ended.unwrap_or((silence, None));
            settler.settle(Ended { attempt: self.attempt, outcome, delivered, trail: self.trail.take() });
        }
    }
}

impl std::fmt::Debug for Settlement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settlement")
            .field("attempt", &self.attempt)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
