//! What an upstream of a session says over HTTP on the stream of that session and not on that of a call: it may be of a call all
//! the same, where it is known of which (T24, A28; rfd 23).

use std::sync::{Arc, Mutex};

use elevation::Outcome;
use serde_json::{Value, json};
use terms::json::Object;
use terms::{Abilities, Ambient as _, Json, Millis};
use tokio::sync::{broadcast, mpsc};
use upstream::{
    Along, Config, Fault, Forwarded, Link, Logged, Note, Notes, Progress, Question, Share, forward, reply,
};

use crate::http::{Does, Server, response};
use crate::world::{SOON, World, becomes, ended, http, none, session, value};

const CAN: Abilities = Abilities { form: true, url: false, sampling: false, roots: false };

/// A server whose calls wait, and that tells on the streams of its sessions and of its calls what it is told to.
struct Asking {
    server: Server,
    world: World,
    /// The streams of sessions, as they began.
    streams: Arc<Mutex<Vec<broadcast::Sender<String>>>>,
    calls: broadcast::Sender<String>,
}

impl Asking {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let streams = Arc::<Mutex<Vec<broadcast::Sender<String>>>>::default();
        let calls = broadcast::Sender::new(16);
        let (begun, answers) = (Arc::clone(&streams), calls.clone());
        let server = Server::start(move |request| {
            if request.head.starts_with("GET") {
                let (stream, told) = broadcast::channel(16);
                begun.lock().unwrap().push(stream);
                return Does::Tells(told);
            }
            if request.is("tools/call") { Does::Tells(answers.subscribe()) } else { Does::Well }
        })
        .await;
        let mut config = Config { asks: CAN, ..http(&server.url) };
        change(&mut config);
        let world = World::new(vec![config]).await;
        world.pin(&["run"]).await;
        Self { server, world, streams, calls }
    }

    async fn link(&self, n: u8) -> Arc<Link> {
        self.world.upstreams.link_who_can("ops", session(n), CAN).await.unwrap()
    }

    /// On the stream of a session.
    fn tell(&self, stream: usize, message: Value) {
        let mut message = message;
        message["jsonrpc"] = json!("2.0");
        self.streams.lock().unwrap()[stream].send(message.to_string()).unwrap();
    }

    fn ask(&self, stream: usize, id: &str) {
        let params = json!({"message": "m", "requestedSchema": {"type": "object", "properties": {}}});
        self.tell(stream, json!({"id": id, "method": "elicitation/create", "params": params}));
    }

    /// What it was answered to that.
    async fn told(&self, id: &str) -> Value {
        let reply = || self.server.all().into_iter().find(|one| one.body["id"] == id).map(|one| one.body);
        becomes("it is answered", || reply().is_some()).await;
        reply().unwrap()
    }

    /// Begins a call; what is asked, told and followed within it comes here.
    async fn call(&self, n: u8, within: Millis) -> Running {
        let link = self.link(n).await;
        let before = self.server.calls();
        let permit = self.world.permit("ops", "run", none()).await;
        let attempt = permit.attempt().unwrap();
        let (asks, questions) = mpsc::channel(4);
        let (to, notes) = mpsc::channel(4);
        let (follows, progress) = broadcast::channel(4);
        let along = Along {
            questions: Some(asks),
            notes: Some(Notes { to, of_session: false }),
            progress: Some(follows),
            ..self.world.along("run")
        };
        let over = Arc::clone(&link);
        let call = tokio::spawn(async move { forward(permit, &over, along, within).await });
        becomes("the call arrives", || self.server.calls() > before).await;
        let id = self.server.all().into_iter().rfind(|one| one.is("tools/call")).unwrap().body["id"].clone();
        Running { link, attempt, id, questions, notes, progress, call }
    }

    async fn answers(&self, running: Running) -> Forwarded {
        let answer = json!({"jsonrpc": "2.0", "id": running.id, "result": {"content": []}});
        self.calls.send(answer.to_string()).unwrap();
        running.call.await.unwrap()
    }
}

struct Running {
    link: Arc<Link>,
    attempt: terms::AttemptId,
    id: Value,
    questions: mpsc::Receiver<Question>,
    notes: mpsc::Receiver<Note>,
    progress: broadcast::Receiver<Progress>,
    call: tokio::task::JoinHandle<Forwarded>,
}

fn log(data: &str) -> Value {
    json!({"method": "notifications/message", "params": {"level": "info", "data": data}})
}

#[tokio::test]
async fn a8_a_question_on_the_stream_of_the_session_is_of_the_one_call_that_runs_and_is_answered_by_its_permit()
 {
    let asking = Asking::start(|_| {}).await;
    let mut running = asking.call(1, SOON).await;
    asking.tell(0, log("on its way"));
    asking.tell(
        0,
        json!({"method": "notifications/progress", "params": {"progressToken": running.id, "progress": 1}}),
    );
    asking.ask(0, "q");
    let question = running.questions.recv().await.unwrap();
    let Note::Logged(Logged { data, .. }) = running.notes.recv().await.unwrap() else { panic!() };
    assert_eq!((data.text(), running.progress.recv().await.is_ok()), ("\"on its way\"", true));
    let yes = Object::from_iter([("elicitation/create", Json::object([("action", "accept")]))]);
    let permit = asking.world.permit_answer("run", running.attempt, yes).await;
    let replied = reply(permit, &running.link, question, SOON).await;
    assert_eq!(replied.outcome, Outcome::Done);
    assert_eq!(asking.told("q").await["result"]["action"], "accept");
    assert_eq!(value(&asking.answers(running).await)["content"], json!([]));
}

#[tokio::test]
async fn t24_on_the_stream_of_the_session_nobody_is_asked_in_the_name_of_a_call_that_may_not_be_the_one() {
    let asking = Asking::start(|_| {}).await;
    let nobody = async |running: &mut Running, id: &str| {
        asking.tell(0, log("whose?"));
        asking.ask(0, id);
        assert_eq!(asking.told(id).await["error"]["code"], -32600, "{id}");
        assert!(running.questions.try_recv().is_err() && running.notes.try_recv().is_err(), "{id}");
    };
    asking.link(1).await;
    asking.ask(0, "of none");
    assert_eq!(asking.told("of none").await["error"]["code"], -32600);
    let first = asking.call(1, Millis::new(500)).await;
    let mut second = asking.call(1, SOON).await;
    nobody(&mut second, "of two").await;
    ended(&first.call.await.unwrap(), Fault::Timeout, Outcome::Unknown);
    // It was given up, and may run there all the same.
    nobody(&mut second, "of one that was given up").await;
    assert_eq!(asking.answers(second).await.outcome, Outcome::Done);
    let mut third = asking.call(1, SOON).await;
    nobody(&mut third, "after that").await;
    // What comes on the stream of the call is its own.
    asking
        .calls
        .send(r#"{"jsonrpc":"2.0","id":"own","method":"elicitation/create","params":{}}"#.into())
        .unwrap();
    drop(third.questions.recv().await.unwrap());
    // A call that was answered is over.
    let first = asking.call(2, SOON).await;
    assert_eq!(asking.answers(first).await.outcome, Outcome::Done);
    let mut second = asking.call(2, SOON).await;
    asking.ask(1, "of one");
    drop(second.questions.recv().await.unwrap());
}

#[tokio::test]
async fn t24_what_is_said_on_the_stream_of_one_session_reaches_no_call_of_another() {
    let asking = Asking::start(|_| {}).await;
    let mut mine = asking.call(1, SOON).await;
    let mut theirs = asking.call(2, SOON).await;
    asking.tell(1, log("theirs"));
    asking.tell(
        1,
        json!({"method": "notifications/progress", "params": {"progressToken": mine.id, "progress": 1}}),
    );
    asking.ask(1, "q");
    drop(theirs.questions.recv().await.unwrap());
    assert!(theirs.notes.recv().await.is_some());
    assert!(mine.questions.try_recv().is_err() && mine.notes.try_recv().is_err());
    assert!(mine.progress.try_recv().is_err(), "it is told by its own session");
}

#[tokio::test]
async fn a28_over_a_link_that_all_share_a_question_on_its_own_stream_is_of_nobody_though_one_call_runs() {
    let asking = Asking::start(|config| config.share = Share::All).await;
    let mut running = asking.call(1, SOON).await;
    becomes("it is listened to", || asking.streams.lock().unwrap().len() == 1).await;
    asking.tell(0, log("whose?"));
    asking.ask(0, "q");
    assert_eq!(asking.told("q").await["error"]["code"], -32600);
    assert!(running.questions.try_recv().is_err() && running.notes.try_recv().is_err());
}

#[tokio::test]
async fn a_session_that_can_be_asked_nothing_has_no_stream_and_one_that_is_refused_one_calls_all_the_same() {
    let asking = Asking::start(|_| {}).await;
    asking.world.upstreams.link("ops", session(1)).await.unwrap();
    assert_eq!(asking.server.all().iter().filter(|one| one.head.starts_with("GET")).count(), 0);
    for refusal in ["405 Method Not Allowed", "404 Not Found", "400 Bad Request", ""] {
        let server = Server::start(move |request| match request.head.starts_with("GET") {
            // One that begins no stream until it has something to say.
            true if refusal.is_empty() => Does::WritesAndWaits(String::new()),
            true => Does::Writes(response(refusal, "", "")),
            false => Does::Well,
        })
        .await;
        let world = World::new(vec![Config { asks: CAN, ..http(&server.url) }]).await;
        world.pin(&["run"]).await;
        let began = world.machine.boottime();
        world.upstreams.link_who_can("ops", session(1), CAN).await.unwrap();
        assert!(world.machine.boottime().since(began) < Millis::seconds(5));
        assert_eq!(world.call("run", none()).await.outcome, Outcome::Done, "{refusal}");
        assert_eq!(server.count("initialize"), 1, "{refusal}: the session goes on");
        let asked = server.all().iter().filter(|one| one.head.starts_with("GET")).count();
        assert_eq!(asked, 1, "{refusal}");
    }
}

#[tokio::test]
async fn the_stream_of_a_session_is_begun_again_without_a_word_of_what_was_missed_and_ends_with_it() {
    let asking = Asking::start(|_| {}).await;
    asking.link(1).await;
    asking.tell(0, log("one with an id"));
    let ended = asking.streams.lock().unwrap().remove(0);
    drop(ended);
    becomes("it is listened to again", || asking.streams.lock().unwrap().len() == 1).await;
    let gets: Vec<_> = asking.server.all().into_iter().filter(|one| one.head.starts_with("GET")).collect();
    assert!(gets.iter().all(|one| one.header("last-event-id").is_none()), "{gets:?}");
    assert_eq!(gets.len(), 2);
    let before = asking.server.closed();
    asking.world.upstreams.close(session(1));
    becomes("its stream is let go", || asking.server.closed() > before).await;
    becomes("and the session too", || asking.server.all().iter().any(|one| one.head.starts_with("DELETE")))
        .await;
}
