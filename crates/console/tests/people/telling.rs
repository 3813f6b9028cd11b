//! People are told outside, over every channel that is theirs, until somebody takes it; and it changes nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use console::notify::{
    Carrier, Channel, Group, Key, Mailer, Routes, Server, Settings, Text, Tls, Webhook, run, signature,
};
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use terms::{Json, Millis, Secret};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::JoinHandle;

use crate::world::{World, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Received = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// What a receiver does with its nth delivery.
type Answers = fn(usize) -> Response;

/// A receiver of webhooks.
async fn receiver(answers: Answers) -> (String, Received) {
    let received = Received::default();
    let taken = Arc::clone(&received);
    let take = move |headers: HeaderMap, body: Bytes| {
        let mut all = taken.lock().unwrap();
        all.push((headers, String::from_utf8(body.to_vec()).unwrap()));
        let nth = all.len();
        async move { answers(nth) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
    (url, received)
}

fn taken(_: usize) -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A mail as its server took it.
#[derive(Clone, Debug)]
struct Taken {
    to: String,
    octets: String,
}

impl Taken {
    fn header(&self, name: &str) -> Option<String> {
        let head = self.octets.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let prefix = format!("{name}: ");
        let line = head.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))?;
        let words = line.split(' ').map(|word| match word.strip_prefix("=?utf-8?B?") {
            Some(word) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(word.trim_end_matches("?="));
                (String::from_utf8(bytes.unwrap()).unwrap(), "")
            }
            None => (word.to_owned(), " "),
        });
        Some(words.map(|(word, space)| format!("{word}{space}")).collect::<String>().trim().to_owned())
    }

    fn text(&self) -> String {
        let body = self.octets.split_once("\r\n\r\n").unwrap().1.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = body.bytes();
        while let Some(byte) = rest.next() {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap();
            bytes.push(if byte == b'=' { u8::try_from(digit() * 16 + digit()).unwrap() } else { byte });
        }
        String::from_utf8(bytes).unwrap()
    }
}

type Mails = Arc<Mutex<Vec<Taken>>>;

/// A server that takes mail, after it has refused so many.
async fn mail_server(refuses: usize) -> (u16, Mails) {
    let mails = Mails::default();
    let (all, refused) = (Arc::clone(&mails), Arc::new(AtomicUsize::new(refuses)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (all, refused) = (Arc::clone(&all), Arc::clone(&refused));
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                let (mut to, mut octets, mut data) = (String::new(), String::new(), false);
                write.write_all(b"220 here\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match line.split(' ').next().unwrap_or_default() {
                        "." if data => {
                            data = false;
                            let refuse = |left: usize| left.checked_sub(1);
                            if refused.fetch_update(Ordering::AcqRel, Ordering::Acquire, refuse).is_ok() {
                                "451 later"
                            } else {
                                all.lock().unwrap().push(Taken { to: to.clone(), octets: octets.clone() });
                                "250 taken"
                            }
                        }
                        _ if data => {
                            octets.push_str(&format!("{line}\r\n"));
                            continue;
                        }
                        "RCPT" => {
                            to = line.split(['<', '>']).nth(1).unwrap().to_owned();
                            "250 ok"
                        }
                        "DATA" => {
                            data = true;
                            "354 go on"
                        }
                        "QUIT" => return,
                        _ => "250 ok",
                    };
                    write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, mails)
}

fn webhook(url: &str) -> Channel {
    let carrier = Carrier::Webhook(Box::new(Webhook::new(url, &Secret::new(SECRET.to_owned())).unwrap()));
    Channel { carrier, text: Text::Brief, patience: Duration::from_millis(500) }
}

fn mail(port: u16, text: Text) -> Channel {
    let server = Server::new("127.0.0.1", port, Tls::None, None, None).unwrap();
    let from = "stepup <stepup@example.com>".parse().unwrap();
    Channel {
        carrier: Carrier::Mail(Box::new(Mailer { server, from })),
        text,
        patience: Duration::from_secs(5),
    }
}

/// People who have an address.
fn addresses(names: &[&str]) -> Routes {
    let people =
        names.iter().map(|name| ((*name).to_owned(), format!("{name}@example.com").parse().unwrap()));
    Routes { people: people.collect(), ..Routes::default() }
}

fn settings(channels: Vec<(&str, Channel)>, routes: Routes) -> Settings {
    let channels = channels.into_iter().map(|(name, channel)| (name.to_owned(), channel)).collect();
    Settings { channels, routes, look: Duration::from_millis(10) }
}

fn tell(world: &World, settings: Settings) -> JoinHandle<()> {
    tokio::spawn(run(Arc::clone(&world.authority), settings))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).unwrap().to_str().unwrap().to_owned()
}

fn types(received: &Received) -> Vec<String> {
    let all = received.lock().unwrap();
    all.iter().map(|(_, body)| json(body).get("type").and_then(Json::as_str).unwrap().to_owned()).collect()
}

async fn waiting(world: &World) -> (u32, u32) {
    let backlog = world.authority.store().backlog().await.unwrap();
    (backlog.waiting, backlog.failing)
}

/// Until so many wait, and so many of them were tried in vain: whoever is told knows of it before it is marked.
async fn until_waiting(world: &World, expected: (u32, u32)) {
    for _ in 0..1500 {
        if waiting(world).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} wait, and not {expected:?}", waiting(world).await);
}

#[tokio::test]
async fn a_new_request_is_told_with_a_good_signature_and_again_until_it_is_taken() {
    let (world, _people) = World::new().await;
    let (url, received) = receiver(|nth| match nth {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => taken(nth),
    })
    .await;
    let worker = tell(&world, settings(vec![("chat", webhook(&url))], Routes::default()));
    let id = world.deploy("2.4.1-private").await;
    until("the first try", || received.lock().unwrap().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(received.lock().unwrap().len(), 1, "it is not tried again at once");
    world.ambient.pass(Millis::seconds(6));
    until("the second try", || received.lock().unwrap().len() == 2).await;
    worker.abort();

    let key = Key::of(&Secret::new(SECRET.to_owned())).unwrap();
    let all = received.lock().unwrap().clone();
    for (headers, body) in &all {
        let at: i64 = header(headers, "webhook-timestamp").parse().unwrap();
        let signed = signature(&key, &header(headers, "webhook-id"), at, body);
        assert_eq!(header(headers, "webhook-signature"), signed);
        assert!(!body.contains("private"), "no argument is told: {body}");
        let data = json(body).get("data").unwrap().clone();
        let text = |name: &str| data.get(name).and_then(Json::as_str).unwrap().to_owned();
        assert_eq!(text("link"), format!("https://stepup.example/r/{id}"));
        assert_eq!(text("owner"), "olga");
        assert!(
            text("text")
                .starts_with("[production] bot asks: call ops/deploy · needs 1 approval from managers")
        );
    }
    assert_eq!(header(&all[0].0, "webhook-id"), header(&all[1].0, "webhook-id"), "the same one again");
}

#[tokio::test]
async fn no_receiver_leads_elsewhere_keeps_another_waiting_or_is_read_to_its_end() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    static ELSEWHERE: Mutex<String> = Mutex::new(String::new());
    let (world, _people) = World::new().await;
    let (elsewhere, led) = receiver(taken).await;
    *ELSEWHERE.lock().unwrap() = elsewhere;
    let (redirects, _) = receiver(|_| {
        let to = ELSEWHERE.lock().unwrap().clone();
        (StatusCode::PERMANENT_REDIRECT, [("location", to)]).into_response()
    })
    .await;
    let (endless, answered) = receiver(|_| {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let pieces = futures_util::stream::iter(0..4096).map(move |_| {
            SENT.fetch_add(1, Ordering::AcqRel);
            Ok::<_, std::io::Error>(piece.clone())
        });
        Response::new(Body::from_stream(pieces))
    })
    .await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}/hook", silent.local_addr().unwrap());
    let (good, received) = receiver(taken).await;
    let channels = vec![
        ("a-redirects", webhook(&redirects)),
        ("b-endless", webhook(&endless)),
        ("c-hangs", webhook(&hangs)),
        ("d-gone", webhook("http://127.0.0.1:1/hook")),
        ("e-good", webhook(&good)),
    ];
    let worker = tell(&world, settings(channels, Routes::default()));
    world.deploy("1").await;
    until("the good one", || received.lock().unwrap().len() == 1).await;
    until("the endless one", || answered.lock().unwrap().len() == 1).await;
    until_waiting(&world, (3, 3)).await; // redirected, silent and gone
    worker.abort();
    assert!(led.lock().unwrap().is_empty(), "nobody was led there");
    let sent = SENT.load(Ordering::Acquire);
    assert!(sent < 256, "{sent} MiB of 4096 were taken off the receiver");
}

#[tokio::test]
async fn those_who_are_asked_and_the_owner_are_told_in_words_for_each_and_nobody_else() {
    let (world, mut people) = World::new().await;
    let (port, mails) = mail_server(0).await;
    let mut routes = addresses(&["olga", "ann", "mia", "dave"]);
    let shared = BTreeSet::from(["oncall@example.com".parse().unwrap(), "ann@example.com".parse().unwrap()]);
    routes.groups.insert("managers".to_owned(), Group { channels: None, to: shared });
    let worker = tell(&world, settings(vec![("mail", mail(port, Text::Full))], routes));
    let id = world.deploy("2.4.1").await;
    until("three mails", || mails.lock().unwrap().len() == 3).await;
    let all = mails.lock().unwrap().clone();
    let to: BTreeSet<&str> = all.iter().map(|mail| mail.to.as_str()).collect();
    // Ben has no address; Mia may read it and Dave may not, and neither is asked.
    assert_eq!(to, BTreeSet::from(["olga@example.com", "ann@example.com", "oncall@example.com"]));
    for mail in &all {
        let owner = mail.to.starts_with("olga");
        let subject =
            if owner { "[production] bot, which is yours, asks: " } else { "[production] bot asks: " };
        assert_eq!(mail.header("Subject").unwrap(), format!("{subject}Deploy 2.4.1 to production"));
        assert_eq!(mail.text().contains("It takes other people than you."), owner);
        assert_eq!(mail.text().contains("Look at it and decide:"), !owner);
        assert_eq!(mail.text().matches("https://").count(), 1);
        assert!(mail.text().contains(&format!("\nhttps://stepup.example/r/{id}\r\n")), "{}", mail.text());
    }
    // An owner who is asked to confirm is asked.
    world.challenged("scale", r#"{"n":3}"#).await;
    until("one more", || mails.lock().unwrap().len() == 4).await;
    let last = mails.lock().unwrap()[3].clone();
    assert_eq!(last.to, "olga@example.com");
    assert!(last.text().contains("asks you to confirm this."), "{}", last.text());
    // What a link leads to changes nothing, by whichever method it is looked at.
    people.get_mut("ann").unwrap().get(&format!("/r/{id}")).await;
    let whole = world.authority.store().elevation(id).await.unwrap().unwrap();
    assert_eq!(whole.state, elevation::State::Pending);
    worker.abort();
}

#[tokio::test]
async fn every_copy_is_followed_by_how_it_ended_and_who_ended_it() {
    let (world, mut people) = World::new().await;
    let (url, received) = receiver(taken).await;
    let (port, mails) = mail_server(0).await;
    let channels = vec![("chat", webhook(&url)), ("mail", mail(port, Text::Full))];
    let worker = tell(&world, settings(channels, addresses(&["olga", "ann"])));
    let approved = world.deploy("1").await;
    let rejected = world.deploy("2").await;
    let withdrawn = world.deploy("3").await;
    let expired = world.deploy("4").await;
    until("every request", || mails.lock().unwrap().len() == 8).await;

    assert_eq!(people.get_mut("ann").unwrap().approve(approved).await.status, StatusCode::OK);
    let reason = Json::object([("reason", "wrong week\r\nBcc: eve@example.com")]);
    let ben = &people["ben"];
    assert_eq!(ben.post(&format!("/r/{rejected}/reject"), &reason).await.status, StatusCode::OK);
    world.authority.withdraw(&world.bot(), withdrawn, None).await.unwrap().unwrap();
    world.ambient.pass(Millis::seconds(901));
    world.authority.expire().await.unwrap();
    until("every end", || mails.lock().unwrap().len() == 16 && received.lock().unwrap().len() == 8).await;
    until_waiting(&world, (0, 0)).await;
    worker.abort();

    let all = mails.lock().unwrap().clone();
    let says = [
        (approved, "Approved by ann, "),
        (rejected, "Rejected by ben: “wrong week⟨U+000D⟩⟨U+000A⟩Bcc: eve[at]example[.]com”, "),
        (withdrawn, "Withdrawn by bot, "),
        (expired, "Expired: nobody answered in time, "),
    ];
    for (id, says) in says {
        for to in ["ann@example.com", "olga@example.com"] {
            let of = |mail: &&Taken| mail.to == to && mail.octets.contains(&id.to_string());
            let thread: Vec<&Taken> = all.iter().filter(of).collect();
            let [first, second] = thread.as_slice() else { panic!("{} of {to}", thread.len()) };
            assert_eq!(first.header("In-Reply-To"), None);
            assert_eq!(second.header("In-Reply-To"), first.header("Message-ID"));
            assert_eq!(second.header("References"), first.header("Message-ID"));
            assert_ne!(second.header("Message-ID"), first.header("Message-ID"));
            let re = format!("Re: {}", first.header("Subject").unwrap());
            assert_eq!(second.header("Subject"), Some(re));
            assert!(second.text().starts_with(says), "{}", second.text());
            assert_eq!(second.header("Bcc"), None);
        }
    }
    let ended: BTreeSet<String> = types(&received).into_iter().collect();
    let all =
        ["opened", "approved", "rejected", "withdrawn", "expired"].map(|end| format!("elevation.{end}"));
    assert_eq!(ended, BTreeSet::from(all));
    let bodies = received.lock().unwrap().clone();
    assert!(bodies.iter().all(|(_, body)| !body.contains("wrong week")), "in brief no reason is told");
    let by = bodies.iter().find(|(_, body)| body.contains("elevation.approved")).unwrap();
    let by = json(&by.1).get("data").and_then(|data| data.get("by")).unwrap().clone();
    assert_eq!(by, Json::Array(vec![Json::from("ann")]));
}

#[tokio::test]
async fn what_was_sent_and_not_marked_is_sent_again_as_the_same_and_never_not_at_all() {
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    let (world, _people) = World::new().await;
    let received = Received::default();
    let taken = Arc::clone(&received);
    // It takes the first one, and whoever sent it is gone before it is answered.
    let take = move |headers: HeaderMap, body: String| {
        taken.lock().unwrap().push((headers, body));
        async {
            if HEARD.fetch_add(1, Ordering::AcqRel) == 0 {
                std::future::pending::<()>().await;
            }
            StatusCode::OK
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
    let channel = || Channel { patience: Duration::from_secs(60), ..webhook(&url) };
    let worker = tell(&world, settings(vec![("chat", channel())], Routes::default()));
    world.deploy("1").await;
    until("the first delivery", || received.lock().unwrap().len() == 1).await;
    worker.abort();
    let _ = worker.await;
    let worker = tell(&world, settings(vec![("chat", channel())], Routes::default()));
    until("the second delivery", || received.lock().unwrap().len() == 2).await;
    until_waiting(&world, (0, 0)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    worker.abort();
    let all = received.lock().unwrap().clone();
    assert_eq!(all.len(), 2, "what was taken is sent no more");
    assert_eq!(all[0].1, all[1].1);
    assert_eq!(header(&all[0].0, "webhook-id"), header(&all[1].0, "webhook-id"));
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_after_a_day_with_a_record_and_nothing_waits_for_it_any_more() {
    let (world, _people) = World::new().await;
    let (port, mails) = mail_server(15).await;
    let worker = tell(&world, settings(vec![("mail", mail(port, Text::Brief))], addresses(&["ann"])));
    let id = world.deploy("1").await;
    world.authority.withdraw(&world.bot(), id, None).await.unwrap().unwrap();
    let mut hours = 0;
    while mails.lock().unwrap().is_empty() {
        assert!(hours < 60, "it is given up");
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.ambient.pass(Millis::seconds(3600));
        hours += 1;
    }
    worker.abort();
    let only = mails.lock().unwrap()[0].clone();
    assert!(only.text().starts_with("Withdrawn by bot"), "what followed it was let through: {}", only.text());
    let lines = world.authority.store().records(0, 1000).await.unwrap();
    let records: Vec<_> = lines.iter().filter(|line| line.kind == "not_told").collect();
    let [record] = records.as_slice() else { panic!("{} records", records.len()) };
    assert!(String::from_utf8_lossy(&record.envelope).contains(&id.to_string()));
    let body = json(std::str::from_utf8(&record.body.as_ref().unwrap().0).unwrap());
    let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap().to_owned();
    assert_eq!((text("channel"), text("recipient")), ("mail".to_owned(), "ann@example.com".to_owned()));
    assert_eq!(
        (text("event"), text("why")),
        ("elevation.opened".to_owned(), "the server refused it (451)".to_owned())
    );
    assert_eq!(body.get("tries").and_then(Json::as_i64), Some(15));
}

#[tokio::test]
async fn who_is_told_over_which_channel_is_said_by_requirement_then_by_group_and_else_it_is_all() {
    let only = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let group = |names: &[&str]| Group { channels: Some(only(names)), to: BTreeSet::new() };
    let groups = |names: &[&str]| BTreeMap::from([("managers".to_owned(), group(names))]);
    let nothing = Routes { owners: Some(only(&[])), ..addresses(&["olga", "ann"]) };
    let requirements = |names: &[&str]| BTreeMap::from([("release".to_owned(), only(names))]);
    let rows = [
        (addresses(&["olga", "ann"]), ["chat", "mail ann", "mail olga"].as_slice()),
        (nothing.clone(), &["chat", "mail ann"]),
        (Routes { groups: groups(&["chat"]), ..nothing.clone() }, &["chat"]),
        (Routes { groups: groups(&["desktop"]), ..nothing.clone() }, &[]),
        (
            Routes { groups: groups(&["chat"]), requirements: requirements(&["mail"]), ..nothing.clone() },
            &["mail ann"],
        ),
        (Routes { owners: Some(only(&["mail"])), groups: groups(&[]), ..nothing }, &["mail olga"]),
    ];
    for (routes, expected) in rows {
        let (world, _people) = World::new().await;
        let (url, received) = receiver(taken).await;
        let (port, mails) = mail_server(0).await;
        let channels = vec![("chat", webhook(&url)), ("mail", mail(port, Text::Brief))];
        let said = format!("{routes:?}");
        let worker = tell(&world, settings(channels, routes));
        world.deploy("1").await;
        until_waiting(&world, (0, 0)).await;
        worker.abort();
        let chat = received.lock().unwrap().iter().map(|_| "chat".to_owned()).collect::<BTreeSet<_>>();
        let mailed = mails.lock().unwrap().clone();
        let mailed = mailed.iter().map(|mail| format!("mail {}", mail.to.trim_end_matches("@example.com")));
        let told: BTreeSet<String> = chat.into_iter().chain(mailed).collect();
        assert_eq!(told, only(expected), "{said}");
    }
}

#[tokio::test]
async fn a_person_is_told_of_a_passkey_that_may_not_be_theirs() {
    let (world, mut people) = World::new().await;
    let (port, mails) = mail_server(0).await;
    let told = settings(vec![("mail", mail(port, Text::Brief))], addresses(&["olga", "ann"]));
    // Nobody waits for the next look: what there is to tell says so itself.
    let worker = tell(&world, Settings { look: Duration::from_secs(3600), ..told });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ann = people.get_mut("ann").unwrap();
    let (_passkey, made) = ann.make_passkey().await;
    let body = ann.signed(&made, Json::object([("name", "phone")]));
    assert_eq!(ann.post("/me/passkeys", &body).await.status, StatusCode::OK);
    until("her mail", || mails.lock().unwrap().len() == 1).await;
    worker.abort();
    let only = mails.lock().unwrap()[0].clone();
    assert_eq!(only.to, "ann@example.com");
    assert_eq!(only.header("Subject").unwrap(), "You have one more passkey");
    assert!(only.text().contains("https://stepup.example/me"), "{}", only.text());
}

#[tokio::test]
async fn a_browser_is_told_what_waits_for_its_person_or_is_of_theirs_and_how_that_ended() {
    let (world, mut people) = World::new().await;
    let id = world.deploy("2.4.1-private").await;
    let confirmed = world.challenged("scale", r#"{"n":3}"#).await;
    let told = async |browser: &crate::world::Browser, list: &str| {
        let answer = browser.get("/told").await.json();
        let all = answer.get(list).and_then(Json::as_array).unwrap().to_vec();
        let text = |one: &Json, name: &str| one.get(name).and_then(Json::as_str).unwrap().to_owned();
        all.iter().map(|one| [text(one, "id"), text(one, "title"), text(one, "text")]).collect::<Vec<_>>()
    };
    for (name, titles) in [
        ("ann", &["[production] bot asks: call ops/deploy"][..]),
        (
            "olga",
            &[
                "[production] bot, which is yours, asks you to confirm: call ops/scale",
                "[production] bot, which is yours, asks: call ops/deploy",
            ],
        ),
        ("mia", &[]),
        ("dave", &[]),
    ] {
        let waiting = told(&people[name], "waiting").await;
        let said: Vec<&str> = waiting.iter().map(|[_, title, _]| title.as_str()).collect();
        assert_eq!(said, titles, "{name}");
        assert!(waiting.iter().all(|[_, _, text]| text.starts_with("needs ") && !text.contains("private")));
        assert_eq!(told(&people[name], "over").await, Vec::<[String; 3]>::new(), "{name}");
    }
    let reason = Json::object([("reason", "canary")]);
    assert_eq!(people["ben"].post(&format!("/r/{id}/reject"), &reason).await.status, StatusCode::OK);
    people.get_mut("olga").unwrap().approve(confirmed).await;
    for (name, ends) in
        [("ann", &["rejected by ben"][..]), ("olga", &["approved by olga", "rejected by ben"]), ("dave", &[])]
    {
        assert_eq!(told(&people[name], "waiting").await, Vec::<[String; 3]>::new());
        let over = told(&people[name], "over").await;
        assert_eq!(over.iter().map(|[_, _, text]| text.as_str()).collect::<Vec<_>>(), ends, "{name}");
    }
    world.ambient.pass(Millis::seconds(601));
    assert_eq!(told(&people["ann"], "over").await, Vec::<[String; 3]>::new(), "that is history");

    // Where others are told otherwise, the browser is told nothing.
    let mut quiet = console::Settings::at(crate::world::ORIGIN);
    let nothing = Group { channels: Some(BTreeSet::new()), to: BTreeSet::new() };
    quiet.routes.groups.insert("managers".to_owned(), nothing);
    let mut browser = world.browser_at(console::router(Arc::clone(&world.authority), quiet));
    browser.cookie.clone_from(&people["ann"].cookie);
    world.deploy("3").await;
    assert_eq!(told(&people["ann"], "waiting").await.len(), 1);
    assert_eq!(told(&browser, "waiting").await.len(), 0);
}

#[tokio::test]
async fn a_caller_that_asks_and_takes_back_without_end_fills_no_mailbox() {
    let (world, _people) = World::new().await;
    let (port, mails) = mail_server(0).await;
    let worker = tell(&world, settings(vec![("mail", mail(port, Text::Brief))], addresses(&["ann"])));
    for n in 0..40 {
        let id = world.deploy(&n.to_string()).await;
        world.authority.withdraw(&world.bot(), id, None).await.unwrap().unwrap();
    }
    let last = world.deploy("stays").await;
    while world.authority.store().told(last.to_string()).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until_waiting(&world, (1, 0)).await; // what stays is held back
    assert_eq!(mails.lock().unwrap().len(), 20, "ten that were asked for, and how they ended");
    world.ambient.pass(Millis::seconds(301));
    until("what stayed", || mails.lock().unwrap().len() == 21).await;
    worker.abort();
    assert!(mails.lock().unwrap()[20].text().contains(&last.to_string()));
}

#[tokio::test]
async fn what_waits_for_a_channel_that_was_taken_away_is_given_up_and_so_is_the_end_of_it() {
    let (world, _people) = World::new().await;
    let worker = tell(&world, settings(vec![("old", webhook("http://127.0.0.1:1/hook"))], Routes::default()));
    let id = world.deploy("1").await;
    until_waiting(&world, (1, 1)).await;
    worker.abort();
    let _ = worker.await;
    let (url, received) = receiver(taken).await;
    let worker = tell(&world, settings(vec![("new", webhook(&url))], Routes::default()));
    world.authority.withdraw(&world.bot(), id, None).await.unwrap().unwrap();
    world.deploy("2").await;
    until("the new one", || received.lock().unwrap().len() == 1).await;
    until_waiting(&world, (0, 0)).await;
    worker.abort();
    assert_eq!(
        types(&received),
        ["elevation.opened"],
        "who was not told of it over this channel hears no end"
    );
    let lines = world.authority.store().records(0, 1000).await.unwrap();
    assert_eq!(lines.iter().filter(|line| line.kind == "not_told").count(), 1);
}
