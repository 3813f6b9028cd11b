//! The client's side: what becomes of each of its lines. Requests are carried beside each other; what gets no answer is
//! carried in its order, before anything that was said after it; and a session begins before anything that is in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use terms::Slug;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use upstream::client::Endpoint;

use super::lines::{Heard, Out};
use super::message::{self, Id, Message};
use super::session::{Again, Fate, Gateway, Session};
use super::trouble::Trouble;

/// Requests under way at once: half of what a gateway lets one caller have. The next ones wait here.
const PLACES: usize = 32;

/// Bytes of requests that are under way or wait, each counted as [`LEAST`] at least; the next ones are refused, so that
/// whatever is read after them is never stuck behind them.
const AHEAD: usize = 16 << 20;
const LEAST: usize = 16 << 10;

/// How long the answer to `initialize` may take; all the while nothing is read.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// How long it may take to be rid of what gets no answer.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// How long any answer may take: what a gateway grants a call and its approval, twice.
const ANSWER_WITHIN: Duration = Duration::from_secs(26 * 60);

/// How long answers are waited for after the client has ended its input, and a last word to the gateway may take.
const GRACE: Duration = Duration::from_secs(5);
const LAST_WORD: Duration = Duration::from_secs(1);

/// After which times a request that was taken back and is still under way is taken back again: over a connection of its
/// own, the first time can have overtaken it. To take it back twice is to take it back.
const TAKE_BACK_AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// How long it takes until the stream that carries no answers is asked for again, at first and at most.
const LISTEN_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A bridge between one client and one gateway.
pub(super) struct Bridge {
    gateway: Gateway,
    out: Out,
    notes: Notes,
    session: Mutex<Arc<Session>>,
    listening: Mutex<Option<AbortHandle>>,
    under_way: Mutex<HashMap<Id, Arc<Fate>>>,
    places: Semaphore,
    ahead: Arc<Semaphore>,
}

/// What people are told, on standard error.
struct Notes {
    out: Out,
    /// What was said last, and whether the gateway was away since all was well.
    last: Mutex<Option<(String, bool)>>,
}

impl Notes {
    /// Something is wrong, and the gateway may be away. Said once, until it is something else.
    fn wrong(&self, what: String, away: bool) {
        let mut last = locked(&self.last);
        let was_away = last.as_ref().is_some_and(|(_, away)| *away);
        if last.as_ref().is_none_or(|(said, _)| *said != what) {
            self.out.line_or_not(format!("stepup stdio: {what}").into_bytes());
        }
        *last = Some((what, away || was_away));
    }

    /// Nothing is.
    fn well(&self) {
        if locked(&self.last).take().is_some_and(|(_, away)| away) {
            self.out.line_or_not(b"stepup stdio: the gateway answers again".to_vec());
        }
    }
}

impl Bridge {
    pub(super) fn new(endpoint: Endpoint, out: Out, notes: Out) -> Self {
        Self {
            gateway: Gateway::new(endpoint),
            out,
            notes: Notes { out: notes, last: Mutex::default() },
            session: Mutex::default(),
            listening: Mutex::default(),
            under_way: Mutex::default(),
            places: Semaphore::new(PLACES),
            ahead: Arc::new(Semaphore::new(AHEAD)),
        }
    }

    /// Carries what is heard until there is no more, `stop` says so, or nobody listens; then ends the session.
    pub(super) async fn carry(
        self: &Arc<Self>,
        heard: mpsc::Receiver<Heard>,
        stop: impl Future<Output = ()>,
    ) {
        tokio::select! {
            () = self.carry_all(heard) => {}
            () = stop => {}
            () = self.out.closed() => {}
        }
        if let Some(listening) = locked(&self.listening).take() {
            listening.abort();
        }
        let session = self.session();
        let _ = timeout(LAST_WORD, self.gateway.close(&session)).await;
        let _ = timeout(LAST_WORD, self.out.flush()).await;
        let _ = timeout(LAST_WORD, self.notes.out.flush()).await;
    }

    async fn carry_all(self: &Arc<Self>, mut heard: mpsc::Receiver<Heard>) {
        let mut tasks = JoinSet::new();
        while let Some(heard) = heard.recv().await {
            while tasks.try_join_next().is_some() {}
            match heard {
                Heard::Line(line) => self.line(Bytes::from(line), &mut tasks).await,
                Heard::TooLong(line) => self.too_long(&line).await,
            }
        }
        let answered = async { while tasks.join_next().await.is_some() {} };
        if timeout(GRACE, answered).await.is_err() {
            let what = "the input ended while requests were under way; they are given up";
            self.notes.wrong(what.to_owned(), false);
        }
    }

    async fn line(self: &Arc<Self>, line: Bytes, tasks: &mut JoinSet<()>) {
        match Message::of(&line) {
            Message::Initialize(id) => self.initialize(line, id.as_ref()).await,
            Message::Modern(id) => self.refuse(id.as_ref(), &Trouble::not_carried()).await,
            Message::Request(id) => self.request(line, id, tasks).await,
            Message::Initialized => {
                self.tell(line).await;
                self.listen();
            }
            Message::Cancelled(Some(id)) => self.take_back(line, id, tasks).await,
            Message::Cancelled(None) | Message::Notification | Message::Answer(_) => self.tell(line).await,
        }
    }

    /// A line that no gateway would read.
    async fn too_long(&self, line: &[u8]) {
        let trouble = Trouble::Ours(Slug::TooLarge, "a line of more than 1 MiB".to_owned());
        match Message::of(line) {
            Message::Initialize(id) | Message::Modern(id) | Message::Request(id) => {
                self.refuse(id.as_ref(), &trouble).await;
            }
            Message::Initialized | Message::Cancelled(_) | Message::Notification | Message::Answer(_) => {
                self.notes.wrong(trouble.words(), trouble.is_away());
            }
        }
    }

    /// Begins a session. The one before it, if there is one, is over.
    async fn initialize(self: &Arc<Self>, line: Bytes, id: Option<&Id>) {
        let opening = timeout(OPEN_WITHIN, self.gateway.open(line, &self.out)).await;
        match opening.unwrap_or_else(|_| Err(Trouble::lost("it takes too long"))) {
            Ok((session, answer)) => {
                let before = std::mem::replace(&mut *locked(&self.session), Arc::new(session));
                let bridge = Arc::clone(self);
                tokio::spawn(async move { timeout(LAST_WORD, bridge.gateway.close(&before)).await });
                self.answer(id, answer).await;
            }
            Err(trouble) => self.refuse(id, &trouble).await,
        }
    }

    /// Carries a request, and its answer back.
    async fn request(self: &Arc<Self>, line: Bytes, id: Option<Id>, tasks: &mut JoinSet<()>) {
        let size = u32::try_from(line.len().max(LEAST)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.ahead).try_acquire_many_owned(size) else {
            let trouble = Trouble::Ours(Slug::OverBudget, "too many requests at once".to_owned());
            return self.refuse(id.as_ref(), &trouble).await;
        };
        let (bridge, session, fate) = (Arc::clone(self), self.session(), Arc::new(Fate::default()));
        if let Some(id) = &id {
            locked(&self.under_way).insert(id.clone(), Arc::clone(&fate));
        }
        tasks.spawn(async move {
            let asked = {
                let _place = bridge.places.acquire().await;
                let asking = bridge.gateway.ask(&session, line, &fate, &bridge.out);
                timeout(ANSWER_WITHIN, asking).await
            };
            drop(room);
            if let Some(id) = id.as_ref().filter(|id| bridge.is_under_way(id, &fate)) {
                locked(&bridge.under_way).remove(id);
            }
            match asked.unwrap_or_else(|_| Err(Trouble::lost("it takes too long"))) {
                Ok(answer) => bridge.answer(id.as_ref(), answer).await,
                Err(trouble) => bridge.refuse(id.as_ref(), &trouble).await,
            }
        });
    }

    fn is_under_way(&self, id: &Id, fate: &Arc<Fate>) -> bool {
        locked(&self.under_way).get(id).is_some_and(|one| Arc::ptr_eq(one, fate))
    }

    /// Takes a request back: here where it has not left, at the gateway otherwise.
    async fn take_back(self: &Arc<Self>, line: Bytes, id: Id, tasks: &mut JoinSet<()>) {
        let fate = locked(&self.under_way).get(&id).cloned();
        if fate.as_ref().is_some_and(|fate| fate.is_taken_back()) {
            return;
        }
        self.tell(line.clone()).await;
        let Some(fate) = fate else { return };
        let bridge = Arc::clone(self);
        tasks.spawn(async move {
            for after in TAKE_BACK_AGAIN {
                tokio::time::sleep(after).await;
                if !bridge.is_under_way(&id, &fate) {
                    return;
                }
                bridge.tell(line.clone()).await;
            }
        });
    }

    async fn tell(&self, line: Bytes) {
        let session = self.session();
        let telling = timeout(TELL_WITHIN, self.gateway.tell(&session, line)).await;
        if let Err(trouble) = telling.unwrap_or_else(|_| Err(Trouble::lost("it takes too long"))) {
            self.notes.wrong(trouble.words(), trouble.is_away());
        }
    }

    /// Says what the gateway says unasked in this session, from now on.
    fn listen(self: &Arc<Self>) {
        let (bridge, session) = (Arc::clone(self), self.session());
        let listening = tokio::spawn(async move {
            let (soonest, latest) = LISTEN_AGAIN;
            let mut after = soonest;
            loop {
                after = match bridge.gateway.listen(&session, &bridge.out).await {
                    Again::Soon => soonest,
                    Again::Later => latest.min(after * 2),
                    Again::Never => return,
                };
                tokio::time::sleep(after).await;
            }
        });
        if let Some(before) = locked(&self.listening).replace(listening.abort_handle()) {
            before.abort();
        }
    }

    async fn answer(&self, id: Option<&Id>, answer: Vec<u8>) {
        self.notes.well();
        // What could not be read as a request is refused without its id, which is known here.
        let nobodys = matches!(Message::of(&answer), Message::Answer(None));
        let addressed = id.filter(|_| nobodys).and_then(|id| message::addressed(&answer, id));
        self.out.line(addressed.unwrap_or(answer)).await;
    }

    async fn refuse(&self, id: Option<&Id>, trouble: &Trouble) {
        if let Some(error) = trouble.error() {
            self.notes.wrong(trouble.words(), trouble.is_away());
            self.out.line(message::error(id, &error.to_string())).await;
        }
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(&locked(&self.session))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
