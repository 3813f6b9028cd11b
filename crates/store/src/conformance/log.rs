use audit::record::{Kind, Record};
use audit::tree;

use super::World;
use crate::{Change, Commit, Head};

/// Appends records alone, one commit each.
async fn append(world: &World, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for _ in 0..count {
        let record = world.record(Kind::Denied);
        records.push(record.clone());
        let commit = Commit { changes: Vec::new(), records: vec![record] };
        world.store().commit(commit).await.unwrap().unwrap();
    }
    records
}

pub async fn records_page_in_leaf_order_and_make_the_head(world: &mut World) {
    let start = world.store().head().await.unwrap().size;
    let (three, receipt) = {
        let records: Vec<_> = (0..3).map(|_| world.record(Kind::Denied)).collect();
        let commit = Commit { changes: Vec::new(), records: records.clone() };
        (records, world.store().commit(commit).await.unwrap().unwrap())
    };
    assert_eq!(receipt.leaf, start);
    let mut written = three;
    written.extend(append(world, 10).await);
    let mut read = Vec::new();
    while let Some(page) =
        Some(world.store().records(start + read.len() as u64, 4).await.unwrap()).filter(|p| !p.is_empty())
    {
        assert!(page.len() <= 4);
        read.extend(page);
    }
    assert_eq!(read.len(), written.len());
    for ((line, record), leaf) in read.iter().zip(&written).zip(start..) {
        assert_eq!((line.leaf, line.id, line.at), (leaf, record.id, record.at));
        assert_eq!((line.kind.as_str(), &line.envelope), (record.kind.name(), &record.envelope));
        assert_eq!(line.body, Some((record.body.clone(), record.salt)));
        assert_eq!(world.store().record(record.id).await.unwrap().as_ref(), Some(line));
    }
    let all = world.store().records(0, 1000).await.unwrap();
    let hashes: Vec<_> = all.iter().map(|line| tree::leaf_hash(&line.envelope)).collect();
    let head = Head { size: all.len() as u64, root: tree::root(&hashes) };
    assert_eq!(world.store().head().await.unwrap(), head);
}

pub async fn a_checkpoint_that_is_older_or_of_another_tree_is_refused(world: &mut World) {
    assert_eq!(world.store().last_checkpoint().await.unwrap(), None);
    let old = world.store().head().await.unwrap();
    append(world, 5).await;
    let head = world.store().head().await.unwrap();
    let forged = Head { root: old.root, ..head };
    let beyond = Head { size: head.size + 1, ..head };
    for wrong in [forged, beyond] {
        world.store().checkpoint(wrong, "note".to_owned()).await.expect_err("it is not of this tree");
    }
    assert_eq!(world.store().last_checkpoint().await.unwrap(), None);
    world.store().checkpoint(head, "note".to_owned()).await.unwrap();
    world.store().checkpoint(old, "older".to_owned()).await.expect_err("it is older");
    assert_eq!(world.store().last_checkpoint().await.unwrap(), Some((head, "note".to_owned())));
}

pub async fn a_checkpoint_of_an_earlier_head_is_kept_while_the_log_grows(world: &mut World) {
    for nth in 0..20 {
        let head = world.store().head().await.unwrap();
        append(world, nth).await;
        world.store().checkpoint(head, nth.to_string()).await.unwrap();
        assert_eq!(world.store().last_checkpoint().await.unwrap(), Some((head, nth.to_string())));
    }
    world.reopen();
    append(world, 1).await;
    let head = world.store().head().await.unwrap();
    world.store().checkpoint(head, "after".to_owned()).await.unwrap();
}

pub async fn everything_is_there_after_opening_again(world: &mut World) {
    let access = world.access("1");
    let grant = world.granted(&access, 2).await;
    let spend = world.spend(&grant, &access).await;
    world.commit(vec![spend]).await.unwrap();
    let waiting = world.open(&world.access("2"), 1).await;
    let notice = Change::Notify { kind: "opened".to_owned(), body: "{}".to_owned() };
    world.commit(vec![notice]).await.unwrap();
    append(world, 20).await;
    let head = world.store().head().await.unwrap();
    world.store().checkpoint(head, "note".to_owned()).await.unwrap();
    append(world, 20).await;

    let before = (
        world.store().head().await.unwrap(),
        world.store().last_checkpoint().await.unwrap(),
        world.store().records(0, 1000).await.unwrap(),
        world.store().elevation(grant.elevation).await.unwrap(),
        world.store().elevation(waiting.id).await.unwrap(),
        world.store().attempts(None, 10).await.unwrap(),
        world.store().outbox(String::new(), 10).await.unwrap(),
        format!("{:?}", world.store().directory().await.unwrap()),
    );
    world.reopen();
    let after = (
        world.store().head().await.unwrap(),
        world.store().last_checkpoint().await.unwrap(),
        world.store().records(0, 1000).await.unwrap(),
        world.store().elevation(grant.elevation).await.unwrap(),
        world.store().elevation(waiting.id).await.unwrap(),
        world.store().attempts(None, 10).await.unwrap(),
        world.store().outbox(String::new(), 10).await.unwrap(),
        format!("{:?}", world.store().directory().await.unwrap()),
    );
    assert_eq!(before, after);
    let spend = world.spend(&grant, &access).await;
    let receipt = world.commit(vec![spend]).await.unwrap();
    assert_eq!(receipt.leaf, before.0.size);
}

pub async fn a_second_opening_is_refused(world: &mut World) {
    let refused = world.open_beside().err().expect("it was opened twice");
    assert!(!refused.is_empty());
    append(world, 1).await;
    world.reopen();
    append(world, 1).await;
}
