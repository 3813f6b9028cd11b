use terms::{Ambient as _, Millis};

use super::World;
use crate::{Change, GivenUp, Letter, Notice, Refused, Told, Way};

fn notify(body: &str) -> Change {
    Change::Notify { kind: "opened".to_owned(), body: body.to_owned() }
}

fn letter(channel: &str, recipient: &str, thread: &str) -> Letter {
    let way = Way { channel: channel.to_owned(), recipient: recipient.to_owned(), thread: thread.to_owned() };
    Letter {
        way,
        body: format!("{channel} to {recipient}"),
        note: "as it was".to_owned(),
        held: Millis::new(0),
    }
}

async fn due(world: &World, channel: &str) -> Vec<Notice> {
    world.store().outbox(channel.to_owned(), 10).await.unwrap()
}

/// One event, and what it becomes.
async fn spread(world: &World, letters: Vec<Letter>, over: Option<&str>) -> Notice {
    world.commit(vec![notify("event")]).await.unwrap();
    let event = due(world, "").await.pop().unwrap();
    world.store().spread(event.id, letters, over.map(str::to_owned)).await.unwrap();
    event
}

pub async fn a_notification_waits_until_it_is_delivered(world: &mut World) {
    world.commit(vec![notify("1"), notify("2")]).await.unwrap();
    let waiting = due(world, "").await;
    assert_eq!(waiting.iter().map(|n| (n.body.as_str(), n.tries)).collect::<Vec<_>>(), [("1", 0), ("2", 0)]);
    assert_eq!(world.store().outbox(String::new(), 1).await.unwrap(), waiting[..1]);
    let again = world.ambient.now().after(Millis::new(1000));
    world.store().notified(waiting[0].id, Some(again)).await.unwrap();
    world.store().notified(waiting[1].id, None).await.unwrap();
    assert_eq!(due(world, "").await, []);
    let backlog = world.store().backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.failing), (1, 1));
    assert_eq!(backlog.oldest, Some(waiting[0].at));
    world.pass(1000);
    let due = due(world, "").await;
    assert_eq!(due.iter().map(|n| (n.id, n.tries)).collect::<Vec<_>>(), [(waiting[0].id, 1)]);
}

pub async fn an_event_becomes_its_notifications_once_and_they_are_due_over_their_channels(world: &mut World) {
    let letters = vec![letter("mail", "ann", "t"), letter("mail", "ben", "t"), letter("chat", "", "t")];
    let event = spread(world, letters.clone(), None).await;
    // As after a crash between the two: whoever does it again does nothing.
    world.store().spread(event.id, letters.clone(), None).await.unwrap();
    world.reopen();
    assert_eq!(due(world, "").await, []);
    let mail = due(world, "mail").await;
    let mail: Vec<_> = mail.iter().map(|n| (n.kind.as_str(), n.body.as_str(), n.at)).collect();
    assert_eq!(mail, [("opened", "mail to ann", event.at), ("opened", "mail to ben", event.at)]);
    assert_eq!(due(world, "chat").await.len(), 1);
    let strays = |known: &[&str]| world.store().strays(known.iter().map(|s| (*s).to_owned()).collect(), 10);
    assert_eq!(strays(&["chat", "mail"]).await.unwrap(), []);
    assert_eq!(strays(&["mail"]).await.unwrap(), due(world, "chat").await);
    // What goes to nobody is told nobody.
    spread(world, Vec::new(), None).await;
    assert_eq!(world.store().backlog().await.unwrap().waiting, 3);
}

pub async fn of_one_thread_each_recipient_is_told_one_after_the_other(world: &mut World) {
    spread(world, vec![letter("mail", "ann", "t"), letter("mail", "ben", "t")], None).await;
    spread(world, vec![letter("mail", "ann", "t"), letter("mail", "ben", "t")], Some("t")).await;
    spread(world, vec![letter("mail", "ann", "other"), letter("mail", "ann", "")], None).await;
    let who = |all: &[Notice]| {
        all.iter().map(|n| (n.way.recipient.clone(), n.way.thread.clone())).collect::<Vec<_>>()
    };
    let pair = |who: &str, thread: &str| (who.to_owned(), thread.to_owned());
    let first = due(world, "mail").await;
    assert_eq!(who(&first), [pair("ann", "t"), pair("ben", "t"), pair("ann", "other"), pair("ann", "")]);
    // Ann's first one fails: her second one waits for it, and Ben's does not.
    let again = world.ambient.now().after(Millis::new(1000));
    world.store().notified(first[0].id, Some(again)).await.unwrap();
    world.store().notified(first[1].id, None).await.unwrap();
    assert_eq!(who(&due(world, "mail").await), [pair("ben", "t"), pair("ann", "other"), pair("ann", "")]);
    world.pass(1000);
    world.store().notified(first[0].id, None).await.unwrap();
    let last = who(&due(world, "mail").await);
    assert_eq!(last, [pair("ann", "t"), pair("ben", "t"), pair("ann", "other"), pair("ann", "")]);
}

pub async fn who_was_told_of_a_thread_is_remembered_until_it_is_over(world: &mut World) {
    let ann = letter("mail", "ann", "t");
    spread(world, vec![ann.clone(), letter("mail", "ben", "other"), letter("mail", "cy", "")], None).await;
    let first = due(world, "mail").await.remove(0);
    world.store().notified(first.id, None).await.unwrap();
    world.reopen();
    let told = world.store().told("t".to_owned()).await.unwrap();
    assert_eq!(told, [Told { way: ann.way.clone(), note: ann.note.clone() }]);
    spread(world, vec![ann], Some("t")).await;
    assert_eq!(world.store().told("t".to_owned()).await.unwrap(), []);
    assert_eq!(world.store().told("other".to_owned()).await.unwrap().len(), 1);
    assert_eq!(world.store().told(String::new()).await.unwrap(), [], "what stands alone is no thread");
}

pub async fn what_is_given_up_is_taken_out_once_with_the_record_that_says_so(world: &mut World) {
    spread(world, vec![letter("mail", "ann", "t")], None).await;
    let id = due(world, "mail").await[0].id;
    let before = world.store().head().await.unwrap().size;
    world.commit(vec![Change::GiveUp(GivenUp::Notice(id))]).await.unwrap();
    assert_eq!(due(world, "mail").await, []);
    assert_eq!(world.refused(Change::GiveUp(GivenUp::Notice(id))).await, Refused::Missing);
    assert_eq!(world.store().head().await.unwrap().size, before + 1);
}

pub async fn what_made_room_is_counted_until_a_record_says_so(world: &mut World) {
    for _ in 0..2 {
        let many = (0..5_003).map(|n| notify(&n.to_string())).collect();
        world.commit(many).await.unwrap();
    }
    let backlog = world.store().backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.made_room), (10_000, 6));
    assert_eq!(due(world, "").await[0].body, "6");
    assert_eq!(world.refused(Change::GiveUp(GivenUp::MadeRoom(7))).await, Refused::Missing);
    world.commit(vec![Change::GiveUp(GivenUp::MadeRoom(6))]).await.unwrap();
    assert_eq!(world.store().backlog().await.unwrap().made_room, 0);
}

pub async fn what_is_over_before_anybody_was_told_is_told_nobody(world: &mut World) {
    let held = |who: &str, millis| Letter { held: Millis::new(millis), ..letter("mail", who, "t") };
    spread(world, vec![held("ann", 1000), held("ben", 0), held("cy", 2000)], None).await;
    let who = |all: &[Notice]| all.iter().map(|n| n.way.recipient.clone()).collect::<Vec<_>>();
    assert_eq!(who(&due(world, "mail").await), ["ben"]);
    world.pass(1000);
    assert_eq!(who(&due(world, "mail").await), ["ann", "ben"]);
    let ends = ["ann", "ben", "cy"].map(|who| letter("mail", who, "t"));
    spread(world, ends.to_vec(), Some("t")).await;
    let all = world.store().backlog().await.unwrap().waiting;
    assert_eq!(all, 4, "both of ann and of ben, and neither of cy");
    world.pass(5000);
    assert_eq!(who(&due(world, "mail").await), ["ann", "ben"]);
}
