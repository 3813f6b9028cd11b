//! What a child logs while a call of it runs: over one stream for all calls it has to be known whose it is (T24, rfd 25).

use std::time::Duration;

use terms::{Json, Level, Millis};
use tokio::sync::mpsc;
use upstream::{Along, Forwarded, Logged, Note, Notes, Share, Stdio, Transport, forward};

use crate::world::{SOON, World, hostile, none, session, value};

async fn world(share: Share) -> World {
    let mut config = hostile(&[]);
    config.share = share;
    let Transport::Stdio(Stdio { set, .. }) = &mut config.transport else { panic!() };
    set.insert("TOKEN".to_owned(), terms::Secret::new("canary-12345".to_owned()));
    let world = World::new(vec![config]).await;
    world.pin(&["logs", "silent"]).await;
    world
}

/// A call that logs, and what is told of that.
async fn logs(world: &World, of: u8, of_session: bool, data: &str) -> (Forwarded, Vec<Note>) {
    let link = world.upstreams.link("ops", session(of)).await.unwrap();
    let (to, mut notes) = mpsc::channel(4);
    let along = Along { notes: Some(Notes { to, of_session }), ..Along::default() };
    let permit = world.permit("ops", "logs", Json::object([("data", data)])).await;
    let forwarded = forward(permit, &link, along, SOON).await;
    assert_eq!(value(&forwarded)["content"][0]["text"], "logged");
    let mut told = Vec::new();
    while let Ok(note) = notes.try_recv() {
        told.push(note);
    }
    (forwarded, told)
}

fn data(notes: &[Note]) -> Vec<&str> {
    let mut told = Vec::new();
    for note in notes {
        let Note::Logged(Logged { level: Level::Info, data, .. }) = note else { panic!("{note:?}") };
        told.push(data.text());
    }
    told
}

#[tokio::test]
async fn t24_of_two_calls_over_one_shared_child_nobody_hears_what_may_be_the_others() {
    for (share, of_session, heard) in [
        (Share::All, false, false),
        (Share::All, true, false),
        (Share::Session, false, false),
        // All that the child says is of one session, which hears it on one of its streams.
        (Share::Session, true, true),
    ] {
        let world = world(share).await;
        let (_, alone) = logs(&world, 1, of_session, "alone").await;
        assert_eq!(data(&alone), ["\"alone\""], "{share:?}");
        let link = world.upstreams.link("ops", session(1)).await.unwrap();
        let silent = world.permit("ops", "silent", none()).await;
        tokio::select! {
            _ = forward(silent, &link, Along::default(), SOON) => panic!("it is silent"),
            () = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let (_, beside) = logs(&world, 1, of_session, "beside").await;
                assert_eq!(beside.len(), usize::from(heard), "{share:?} {of_session}");
            } => {}
        }
        // It was given up, and may log all the same.
        let (_, after) = logs(&world, 1, of_session, "after").await;
        assert_eq!(after.len(), usize::from(heard), "{share:?} {of_session}");
        assert!(world.upstreams.dropped("ops").unwrap() >= u64::from(!heard) * 2);
    }
}

#[tokio::test]
async fn what_one_sessions_child_says_no_other_session_hears() {
    let world = world(Share::Session).await;
    let other = world.upstreams.link("ops", session(2)).await.unwrap();
    let (to, mut notes) = mpsc::channel(4);
    let along = Along { notes: Some(Notes { to, of_session: true }), ..Along::default() };
    let silent = world.permit("ops", "silent", none()).await;
    let (_, (_, told)) =
        tokio::join!(forward(silent, &other, along, Millis::new(500)), logs(&world, 1, true, "mine"));
    assert_eq!(data(&told), ["\"mine\""]);
    assert!(notes.try_recv().is_err());
}

#[tokio::test]
async fn invariant_8_what_a_child_was_started_with_is_struck_out_of_what_it_logs() {
    let world = world(Share::All).await;
    let (_, told) = logs(&world, 1, true, "token canary-12345").await;
    assert_eq!(data(&told), [r#""token [secret]""#]);
}
