//! Sessions of MCP's legacy era (2025-11-25, transports, "Session Management"), in memory: after a restart clients are told
//! 404 and initialize again (B26). A session authenticates nobody: it is bound to the caller and the address
//! that opened it, and to anyone else it is as unknown as one that never was (R13, T22).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use terms::hash::b64url;
use terms::{Abilities, Ambient, Boottime, CallerId, Json, Level, Revision, Slug};
use tokio::sync::{Notify, oneshot};

use crate::mcp::address::Address;
use crate::mcp::completions::Completions;
use crate::mcp::conversation::Conversation;
use crate::mcp::envelope::Id;
use crate::mcp::watching::Watches;
use crate::settings::Budgets;

/// Every session. Bounded by the budgets of sessions.
pub(crate) struct Sessions {
    ambient: Arc<dyn Ambient>,
    limits: Budgets,
    all: Mutex<HashMap<String, Arc<Session>>>,
}

/// One session of one caller at one address.
pub(crate) struct Session {
    pub(crate) id: String,
    /// What `initialize` settled.
    pub(crate) conversation: Conversation,
    caller: CallerId,
    at: Address,
    used: Mutex<Boottime>,
    running: Mutex<HashMap<Id, Arc<Word>>>,
    /// Questions of ours that wait for an answer: one a running request at most.
    asked: Mutex<HashMap<Id, oneshot::Sender<Option<Json>>>>,
    /// Whether somebody listens for what is not an answer.
    listened: AtomicBool,
    /// The resources of which its client is told that they change.
    pub(crate) watches: Watches,
    /// What its client was asked to open, and is told of when it is over.
    pub(crate) completions: Completions,
    /// The least severe messages that its client asked for.
    level: Mutex<Option<Level>>,
}

/// The one listener of a session; another may come once this is dropped.
pub(crate) struct Listening(Arc<Session>);

/// A request that is being answered; over when dropped.
pub(crate) struct Running {
    /// Where it can be taken back by its id.
    session: Option<(Arc<Session>, Id)>,
    /// What is said there of it.
    word: Arc<Word>,
}

/// The caller's word that it takes a request back. It is kept for each that is held, so it is no more than that.
#[derive(Default)]
struct Word {
    said: AtomicBool,
    told: Notify,
}

impl Word {
    fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    fn is_said(&self) -> bool {
        self.said.load(Ordering::Acquire)
    }

    /// Returns once it is said.
    async fn heard(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // Before the look, so that no word between both is missed.
        told.as_mut().enable();
        if !self.is_said() {
            told.await;
        }
    }
}

impl Sessions {
    pub(crate) fn new(ambient: Arc<dyn Ambient>, limits: Budgets) -> Self {
        Self { ambient, limits, all: Mutex::new(HashMap::new()) }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session. A caller that has too many loses the one that it has not used for the longest; the
    /// sessions of others are never touched. Answers that one too, for its link to be closed.
    pub(crate) fn open(
        &self,
        caller: CallerId,
        at: &Address,
        revision: Revision,
        abilities: Abilities,
    ) -> Result<(Arc<Session>, Option<Arc<Session>>), Slug> {
        let mut bytes = [0; 32];
        self.ambient.fill(&mut bytes);
        let id = b64url(&bytes);
        let session = Arc::new(Session {
            conversation: Conversation::session(&id, revision, abilities),
            id,
            caller,
            at: at.clone(),
            used: Mutex::new(self.ambient.boottime()),
            running: Mutex::default(),
            asked: Mutex::default(),
            listened: AtomicBool::new(false),
            watches: Watches::default(),
            completions: Completions::default(),
            level: Mutex::default(),
        });
        let mut all = self.all();
        let theirs = || all.values().filter(|s| s.caller == caller);
        let full = all.len() >= self.limits.all_sessions || theirs().count() >= self.limits.sessions;
        let oldest =
            theirs().filter(|s| s.running().is_empty()).min_by_key(|s| s.used()).map(|s| s.id.clone());
        let lost = match (full, oldest) {
            (false, _) => None,
            (true, Some(oldest)) => all.remove(&oldest),
            (true, None) => return Err(Slug::OverBudget),
        };
        all.insert(session.id.clone(), Arc::clone(&session));
        Ok((session, lost))
    }

    /// The session of that id, if it is this caller's at this address.
    pub(crate) fn find(&self, id: &str, caller: CallerId, at: &Address) -> Result<Arc<Session>, Slug> {
        let all = self.all();
        let session = all.get(id).filter(|s| s.caller == caller && s.at == *at);
        let session = session.cloned().ok_or(Slug::SessionUnknown)?;
        drop(all);
        session.touch(self.ambient.boottime());
        Ok(session)
    }

    /// Ends a session.
    pub(crate) fn close(&self, id: &str, caller: CallerId, at: &Address) -> Result<Arc<Session>, Slug> {
        let session = self.find(id, caller, at)?;
        self.all().remove(id);
        Ok(session)
    }

    /// Ends those that nobody has used for long.
    pub(crate) fn sweep(&self) -> Vec<Arc<Session>> {
        let now = self.ambient.boottime();
        let idle = |s: &Session| s.running().is_empty() && now.since(s.used()) >= self.limits.session_idle;
        let mut all = self.all();
        let over: Vec<String> = all.values().filter(|s| idle(s)).map(|s| s.id.clone()).collect();
        over.iter().filter_map(|id| all.remove(id)).collect()
    }
}

impl Session {
    fn used(&self) -> Boottime {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, now: Boottime) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Arc<Word>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to answer a request. `None` when one of the same id is being answered: ids are used once.
    pub(crate) fn run(self: &Arc<Self>, id: &Id) -> Option<Running> {
        let mut running = self.running();
        if running.contains_key(id) {
            return None;
        }
        let word = Arc::<Word>::default();
        running.insert(id.clone(), Arc::clone(&word));
        drop(running);
        Some(Running { session: Some((Arc::clone(self), id.clone())), word })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<Id, oneshot::Sender<Option<Json>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the caller's answer to a question; `false` when there is no such question.
    pub(crate) fn answered(&self, id: &Id, result: Option<Json>) -> bool {
        let asked = self.asked().remove(id);
        // Who asked may be gone by now, and then nobody is told.
        asked.map(|asked| asked.send(result)).is_some()
    }

    /// From now on its client is told messages of this level and above. Of no other session is that so.
    pub(crate) fn hears(&self, level: Level) {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level);
    }

    /// What a request of it is part of now.
    pub(crate) fn conversation(&self) -> Conversation {
        let level = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        Conversation { level, ..self.conversation }
    }

    /// Begins to listen. `None` while somebody does.
    pub(crate) fn listen(self: &Arc<Self>) -> Option<Listening> {
        let before = self.listened.swap(true, Ordering::AcqRel);
        (!before).then(|| Listening(Arc::clone(self)))
    }

    /// The caller takes back a request of this session; one of another session cannot be named (T37).
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(word) = self.running().get(id) {
            word.say();
        }
    }
}

impl Listening {
    /// The session.
    pub(crate) fn session(&self) -> &Session {
        &self.0
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listened.store(false, Ordering::Release);
    }
}

impl Running {
    /// Of a request without a session, which nobody can name.
    pub(crate) fn alone() -> Self {
        Self { session: None, word: Arc::default() }
    }

    /// The session that it is of, if it is of one.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref().map(|(session, _)| session.as_ref())
    }

    /// What its session is told of, if it is of one.
    pub(crate) fn watches(&self) -> Option<&Watches> {
        self.session().map(|session| &session.watches)
    }

    /// Whether the caller has taken the request back.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.word.is_said()
    }

    /// Returns when the caller takes the request back.
    pub(crate) async fn cancelled(&mut self) {
        self.word.heard().await;
    }
}

/// A question that waits for its answer; withdrawn when dropped.
pub(crate) struct Question {
    session: Arc<Session>,
    id: Id,
    answer: oneshot::Receiver<Option<Json>>,
}

impl Running {
    /// A question to the client of a session, within this request. `None` for one that is of no session.
    pub(crate) fn question(&self, ambient: &dyn Ambient) -> Option<Question> {
        let (session, _) = self.session.as_ref()?;
        let mut bytes = [0; 16];
        ambient.fill(&mut bytes);
        let id = Id::Text(b64url(&bytes));
        let (answered, answer) = oneshot::channel();
        session.asked().insert(id.clone(), answered);
        Some(Question { session: Arc::clone(session), id, answer })
    }
}

impl Question {
    /// Its id.
    pub(crate) const fn id(&self) -> &Id {
        &self.id
    }

    /// The client's answer; `None` when it is an error.
    pub(crate) async fn answer(&mut self) -> Option<Json> {
        (&mut self.answer).await.ok().flatten()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.session.asked().remove(&self.id);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((session, id)) = &self.session {
            session.running().remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use terms::{Millis, Time};

    use super::*;

    /// A clock that is turned by hand, and a counter as randomness.
    #[derive(Default)]
    struct Hand(AtomicU64, AtomicU64);

    impl Ambient for Hand {
        fn now(&self) -> Time {
            Time::from_millis(0)
        }

        fn boottime(&self) -> Boottime {
            Boottime::from_nanos(self.0.load(Ordering::Relaxed) * 1_000_000)
        }

        fn fill(&self, bytes: &mut [u8]) {
            let n = self.1.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            bytes.iter_mut().zip(n.iter().cycle()).for_each(|(to, from)| *to = *from);
        }
    }

    fn sessions(limits: Budgets) -> (Arc<Hand>, Sessions) {
        let hand = Arc::new(Hand::default());
        let ambient: Arc<dyn Ambient> = hand.clone();
        (hand, Sessions::new(ambient, limits))
    }

    fn ops() -> Address {
        Address::One("ops".to_owned())
    }

    fn caller(n: u8) -> CallerId {
        CallerId::from_slice(&[n; 16]).unwrap()
    }

    #[test]
    fn t22_a_session_is_nobody_elses_and_not_of_another_address() {
        let (_, all) = sessions(Budgets::default());
        let (session, _) = all.open(caller(1), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        assert!(session.id.len() >= 22 && session.id.bytes().all(|b| b.is_ascii_graphic()));
        assert!(all.find(&session.id, caller(1), &ops()).is_ok());
        for (id, who, at) in [
            (session.id.as_str(), caller(2), ops()),
            (session.id.as_str(), caller(1), Address::One("other".to_owned())),
            (session.id.as_str(), caller(1), Address::All),
            ("", caller(1), ops()),
        ] {
            assert_eq!(all.find(id, who, &at).err(), Some(Slug::SessionUnknown));
            assert_eq!(all.close(id, who, &at).err(), Some(Slug::SessionUnknown));
        }
        assert!(all.close(&session.id, caller(1), &ops()).is_ok());
        assert_eq!(all.find(&session.id, caller(1), &ops()).err(), Some(Slug::SessionUnknown));
    }

    #[test]
    fn one_caller_cannot_take_the_sessions_of_another_by_opening_many() {
        let (hand, all) = sessions(Budgets { sessions: 2, all_sessions: 4, ..Budgets::default() });
        let (others, _) = all.open(caller(2), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        let mine: Vec<_> = (0..5)
            .map(|n| {
                hand.0.store(n, Ordering::Relaxed);
                all.open(caller(1), &ops(), Revision::NEWEST, Abilities::default()).unwrap().0
            })
            .collect();
        assert!(all.find(&others.id, caller(2), &ops()).is_ok());
        let left = mine.iter().filter(|s| all.find(&s.id, caller(1), &ops()).is_ok()).count();
        assert_eq!(left, 2);
        all.open(caller(4), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        assert_eq!(
            all.open(caller(3), &ops(), Revision::NEWEST, Abilities::default()).err(),
            Some(Slug::OverBudget)
        );
    }

    #[test]
    fn a_session_that_nobody_uses_ends_and_one_with_a_running_request_does_not() {
        let (hand, all) = sessions(Budgets { session_idle: Millis::new(10), ..Budgets::default() });
        let (idle, _) = all.open(caller(1), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        let (busy, _) = all.open(caller(1), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        let running = busy.run(&Id::Number(1)).unwrap();
        hand.0.store(10, Ordering::Relaxed);
        assert_eq!(all.sweep().iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), [idle.id.as_str()]);
        drop(running);
        assert_eq!(all.sweep().len(), 1);
    }

    #[test]
    fn t37_a_cancellation_reaches_only_a_request_of_its_own_session() {
        let (_, all) = sessions(Budgets::default());
        let (one, _) = all.open(caller(1), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        let (other, _) = all.open(caller(1), &ops(), Revision::NEWEST, Abilities::default()).unwrap();
        let running = one.run(&Id::Number(1)).unwrap();
        assert!(one.run(&Id::Number(1)).is_none(), "an id is used once at a time");
        other.cancel(&Id::Number(1));
        one.cancel(&Id::Text("1".into()));
        assert!(!running.is_cancelled());
        one.cancel(&Id::Number(1));
        assert!(running.is_cancelled());
    }
}
