//! MCP over a child's standard input and output (MCP 2025-11-25, basic/transports, "stdio"; 2026-07-28, the same): one
//! message a line, compact, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use terms::revision::Era;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::answer::{Answer, Fault};
use crate::config::{Stdio, Timeouts};
use crate::message::{Heard, Request, RequestId, hear};
use crate::opened::Opened;
use crate::transport::said::Said;
use crate::transport::{
    Awaited, Beside, Broken, FORBIDDEN, LONGEST, Notices, Pending, UNHEARD, UNSUBSCRIBED, UNWATCHED, child,
};
use crate::upstreams::Surroundings;
use crate::watch::Watches;

/// Replies to what a child asks us that may wait to be written; more are dropped.
const REPLIES: usize = 16;

/// After a message this long, its buffer is given back.
const KEEP: usize = 1 << 20;

/// How long the last words of a child that ended are waited for.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(100);

/// How long a child that is going is waited for.
const GOING: std::time::Duration = std::time::Duration::from_secs(1);

/// A running child. Dropping it ends the child.
pub(crate) struct Child {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

/// What the child's tasks share.
struct Shared {
    /// `None` once the child is being ended.
    stdin: Arc<Mutex<Option<ChildStdin>>>,
    pending: Pending,
    alive: AtomicBool,
    /// Whether sessions are spoken with it, in which it may ask us something. Until that is known it may not.
    legacy: AtomicBool,
    /// Whether all calls are those of one session.
    one_session: AtomicBool,
    notices: Arc<Notices>,
    timeouts: Timeouts,
    ending: watch::Sender<bool>,
    said: Arc<Said>,
    watches: Watches,
    opened: Opened,
}

impl Child {
    /// Starts the child and the tasks that serve it.
    pub(crate) async fn start(
        stdio: &Stdio,
        timeouts: Timeouts,
        surroundings: &Surroundings,
        notices: Arc<Notices>,
    ) -> Result<Self, String> {
        let mut process = child::start(stdio, surroundings).await?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err("the child has no standard streams".to_owned());
        };
        let secrets = stdio.set.values().cloned().collect();
        let shared = Arc::new(Shared {
            stdin: Arc::new(Mutex::new(Some(stdin))),
            pending: Pending::default(),
            alive: AtomicBool::new(true),
            legacy: AtomicBool::new(false),
            one_session: AtomicBool::new(false),
            notices,
            timeouts,
            ending: watch::Sender::new(false),
            said: Arc::new(Said::new(secrets)),
            watches: Watches::default(),
            opened: Opened::default(),
        });
        let (gone, ended) = watch::channel(false);
        let ambient = Arc::clone(&surroundings.ambient);
        let name = shared.notices.upstream().to_owned();
        let logging = tokio::spawn(child::log_errors(name, stderr, Arc::clone(&shared.said), ambient));
        let reading = tokio::spawn(Arc::clone(&shared).read(stdout));
        tokio::spawn(Arc::clone(&shared).watch(process, reading, logging, gone));
        Ok(Self { shared, ended })
    }

    pub(crate) fn alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    pub(crate) fn speak(&self, era: Era) {
        self.shared.legacy.store(era == Era::Legacy, Ordering::Release);
    }

    pub(crate) fn is_of_one_session(&self) {
        self.shared.one_session.store(true, Ordering::Release);
    }

    /// What was asked to be opened over it.
    pub(crate) fn opened(&self) -> &Opened {
        &self.shared.opened
    }

    /// What is watched over it.
    pub(crate) fn watches(&self) -> &Watches {
        &self.shared.watches
    }

    pub(crate) fn notices(&self) -> &Notices {
        &self.shared.notices
    }

    /// Waits for a child that is going to be gone, and its last words heard; for a moment, should it stay.
    pub(crate) async fn over(&self) {
        let _ = tokio::time::timeout(GOING, self.ended.clone().wait_for(|ended| *ended)).await;
    }

    /// What it says on its standard error.
    pub(crate) fn said(&self) -> &Said {
        &self.shared.said
    }

    /// Waits until the child's input is ours alone.
    pub(crate) async fn slot(&self) -> Result<Slot, Fault> {
        let lock = Arc::clone(&self.shared.stdin).lock_owned();
        let within = self.shared.timeouts.connect.duration();
        let stdin = tokio::time::timeout(within, lock).await.map_err(|_| Fault::Unreachable)?;
        if stdin.is_none() || !self.alive() {
            return Err(Fault::Unreachable);
        }
        Ok(Slot { stdin, shared: Arc::clone(&self.shared) })
    }

    /// Ends the child and waits until it is gone.
    pub(crate) async fn close(&self) {
        self.shared.ending.send_replace(true);
        let mut ended = self.ended.clone();
        // An error means that the task that watches is gone, and with it the child.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.shared.ending.send_replace(true);
    }
}

/// The child's input, ours alone.
pub(crate) struct Slot {
    stdin: OwnedMutexGuard<Option<ChildStdin>>,
    shared: Arc<Shared>,
}

impl Slot {
    pub(crate) async fn send(self, request: Request, beside: Beside) -> Result<Waiting, Broken> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        shared.pending.insert(request.id.clone(), Awaited { answer: Some(answer), beside });
        let waiting = Waiting { id: request.id, answered, shared };
        self.tell(request.text).await?;
        Ok(waiting)
    }

    /// Writes one line. In a task of its own: a caller that gives up must not leave half a line behind.
    pub(crate) async fn tell(mut self, mut text: String) -> Result<(), Broken> {
        text.push('\n');
        let written = tokio::spawn(async move { self.shared.write(&mut self.stdin, &text).await });
        if written.await.unwrap_or(false) { Ok(()) } else { Err(Broken::sent(Fault::Closed)) }
    }
}

/// A written request. Dropping it gives the answer up.
pub(crate) struct Waiting {
    id: RequestId,
    answered: oneshot::Receiver<Option<Answer>>,
    shared: Arc<Shared>,
}

impl Waiting {
    pub(crate) async fn answer(mut self) -> Result<Answer, Broken> {
        match (&mut self.answered).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Broken::sent(Fault::Invalid)),
            Err(_) => Err(Broken::sent(Fault::Closed)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.pending.give_up(&self.id);
    }
}

impl Shared {
    /// Reads what the child says until it ends, or says more in one line than anyone may.
    async fn read(self: Arc<Self>, stdout: ChildStdout) {
        let (replies, queue) = mpsc::channel(REPLIES);
        tokio::spawn(Arc::clone(&self).reply(queue));
        let mut reader = BufReader::with_capacity(64 << 10, stdout);
        let mut line = Vec::new();
        loop {
            line.clear();
            line.shrink_to(KEEP);
            let longest = LONGEST as u64 + 1;
            match (&mut reader).take(longest).read_until(b'\n', &mut line).await {
                Ok(n) if n > 0 && line.ends_with(b"\n") => self.hear(&line, &replies),
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    self.notices.dropped("a line that is too long or has no end");
                    return;
                }
            }
        }
    }

    /// Writes one line, whole. A child that does not take it has half a line, and nothing can be said to it
    /// any more: it is ended.
    async fn write(&self, stdin: &mut Option<ChildStdin>, line: &str) -> bool {
        let writing = async {
            let stdin = stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        let written: Result<std::io::Result<()>, _> =
            tokio::time::timeout(self.timeouts.connect.duration(), writing).await;
        let whole = written.is_ok_and(|written| written.is_ok());
        if !whole {
            self.ending.send_replace(true);
        }
        whole
    }

    /// Writes replies to what the child asked, one after another.
    async fn reply(self: Arc<Self>, mut replies: mpsc::Receiver<String>) {
        while let Some(mut text) = replies.recv().await {
            text.push('\n');
            if !self.write(&mut *self.stdin.lock().await, &text).await {
                return;
            }
        }
    }

    /// Writes one reply, in its turn.
    fn back(&self, replies: &mpsc::Sender<String>) -> impl FnOnce(String) + Send + use<> {
        let (replies, notices) = (replies.clone(), Arc::clone(&self.notices));
        move |reply| {
            if replies.try_send(reply).is_err() {
                notices.dropped("a request, because too many came at once");
            }
        }
    }

    fn hear(&self, line: &[u8], replies: &mpsc::Sender<String>) {
        let era = if self.legacy.load(Ordering::Acquire) { Era::Legacy } else { Era::Modern };
        match hear(line, era) {
            Ok(Heard::Answer(id, answer)) => match self.pending.take(&id) {
                Some(awaited) => {
                    // Whoever waited may have given up in this moment.
                    let _ = awaited.answer.map(|to| to.send(answer));
                }
                None => self.notices.dropped("an answer to nothing that is asked: late, twice or foreign"),
            },
            Ok(Heard::Progress(id, progress)) => {
                if !self.pending.told(&id, progress) {
                    self.notices.dropped("progress that nobody listens for");
                }
            }
            Ok(Heard::Completed(id)) => {
                if !self.opened.completed(&id) {
                    self.notices.dropped(UNHEARD);
                }
            }
            Ok(Heard::Updated(uri)) => {
                if !self.watches.updated(&uri) {
                    self.notices.dropped(UNWATCHED);
                }
            }
            Ok(Heard::UpdatedOn(id)) => {
                self.or_unsubscribed(self.pending.subscribed(&id, |changes| changes.updated(&self.watches)));
            }
            Ok(Heard::Note(note)) => {
                let one_session = self.one_session.load(Ordering::Acquire);
                if !self.pending.note(note.struck(&self.said), one_session) {
                    self.notices.dropped(UNHEARD);
                }
            }
            Ok(Heard::Asked(reply)) => self.back(replies)(reply),
            Ok(Heard::Question(asked)) => self.pending.ask(asked, self.back(replies)),
            Ok(Heard::Forbidden) => self.notices.dropped(FORBIDDEN),
            Ok(Heard::ListChanged(lists, None)) => self.notices.list_changed(lists),
            Ok(Heard::ListChanged(lists, Some(id))) => {
                let hears = self.pending.subscribed(&id, |changes| changes.hears_lists());
                if hears {
                    self.notices.list_changed(lists);
                }
                self.or_unsubscribed(hears);
            }
            Ok(Heard::Acknowledged(id, told)) => {
                self.or_unsubscribed(self.pending.subscribed(&id, |changes| changes.acknowledge(&told)));
            }
            Ok(Heard::Ended(id)) => self.or_unsubscribed(self.pending.end_subscription(&id)),
            Ok(Heard::Ignored) => self.notices.dropped("a notification"),
            Err(_) => self.notices.dropped("a line that is no message"),
        }
    }

    /// What no subscription takes goes nowhere.
    fn or_unsubscribed(&self, taken: bool) {
        if !taken {
            self.notices.dropped(UNSUBSCRIBED);
        }
    }

    /// Waits until the child ends, stops speaking, or is to be ended; then sees to it that it is gone.
    async fn watch(
        self: Arc<Self>,
        mut process: tokio::process::Child,
        mut reading: JoinHandle<()>,
        logging: JoinHandle<()>,
        gone: watch::Sender<bool>,
    ) {
        let group = process.id();
        let patience = self.timeouts.close.duration();
        let mut ending = self.ending.subscribe();
        let (why, by_itself) = tokio::select! {
            _ = process.wait() => ("it ended", true),
            _ = &mut reading => ("it closed its output, or said too much", true),
            // A write that broke says so too, and may be seen before the end that broke it.
            () = ends(&mut ending) => {
                let ended = tokio::time::timeout(LAST_WORDS, process.wait()).await.is_ok();
                ("it is not needed any more", ended)
            }
        };
        if by_itself {
            // What it said before it ended still counts; whether its end or that of its output is seen first is chance.
            if !reading.is_finished() {
                let _ = tokio::time::timeout(patience, &mut reading).await;
            }
            let _ = tokio::time::timeout(LAST_WORDS, logging).await;
        }
        self.alive.store(false, Ordering::Release);
        // A write that is stuck holds the lock until the child's input breaks; then ending is by signal.
        if let Ok(mut stdin) = self.stdin.try_lock() {
            stdin.take();
        }
        self.pending.clear();
        child::end(&mut process, group, patience).await;
        reading.abort();
        self.pending.clear();
        tracing::info!(upstream = self.notices.upstream(), why, "an upstream's child is gone");
        gone.send_replace(true);
    }
}

async fn ends(ending: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could use the child.
    let _ = ending.wait_for(|ending| *ending).await;
}
