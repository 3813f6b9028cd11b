//! A log of twenty records, altered in every way: nothing of it can be changed, taken out, doubled, moved or added
//! without the key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod book;

use std::sync::LazyLock;

use audit::body::{Erased, Outcome, Rejected, SubjectKind, Unlocked};
use audit::tree::{Head, leaf_hash, root};
use audit::{Broken, CheckpointKey, Refs, Trust, verify};
use book::{
    Book, access, ann, at_elevation, ben, by_caller, caller, lock, owner, requirement, signing_key,
    verify_bytes,
};
use proptest::prelude::*;
use terms::Json;
use terms::statement::Role;

/// Twenty records: everything from the first start to an erasure.
fn twenty() -> Book {
    let mut book = Book::granted(1);
    book.permit(1);
    book.settle(1, Outcome::Done);
    book.spend(2);
    book.settle(2, Outcome::Unknown);
    book.permit(3);
    book.lock(1, SubjectKind::Caller, caller().to_string(), None);
    let unlock = book.act(&ben(), "unlock", Json::object([("lock", Json::from(lock(1)))]));
    book.add(Refs::default(), &Unlocked { lock: lock(1), why: "fine".to_owned(), signed: unlock });
    book.settle(3, Outcome::Failed);
    book.challenge(2, &access("2.4.2"), requirement(book::ONE, 1));
    let vote = book.vote_on(2, &ann(), Role::Approver, &access("2.4.2"), &requirement(book::ONE, 1));
    book.add(at_elevation(2), &vote);
    let rejected = Rejected { human: owner().human, name: "Olga".to_owned(), reason: "not today".to_owned() };
    book.add(at_elevation(2), &rejected);
    book.permit(4);
    book.add(by_caller(), &Erased { leaf: 7, by: "os:1000".to_owned(), why: "asked to".to_owned() });
    book.erased.insert(7);
    book
}

/// Their file, made once.
static TWENTY: LazyLock<Vec<u8>> = LazyLock::new(|| twenty().export());

#[test]
fn a_sound_log_verifies_and_says_what_is_in_it() {
    let book = twenty();
    assert_eq!(book.records.len(), 20);
    let report = book.verify().unwrap();
    assert_eq!(report.checkpoint.head, book.head());
    assert_eq!(report.kinds.values().sum::<u64>(), 20);
    assert_eq!((report.signatures, report.erased, report.open_attempts), (3, 1, 1));
    assert_eq!(report.unproven, [7]);
}

/// Every 23rd byte of the file, which comes by every kind of place; the random ones below fill in. (Every single one was
/// tried when this was written.)
#[test]
fn a_change_of_any_byte_is_found() {
    let log = TWENTY.clone();
    for at in (0..log.len()).step_by(23) {
        let mut altered = log.clone();
        // Case, neighbours and high bits each get their turn.
        altered[at] ^= [0x20, 0x01, 0x80, 0x10, 0x02, 0x40, 0x08, 0x04][at % 8];
        let found = verify_bytes(&altered);
        assert!(found.is_err(), "byte {at}: {:?} became {:?}", log[at] as char, altered[at] as char);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_change_of_any_byte_to_any_other_is_found(at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut log = TWENTY.clone();
        let at = at.index(log.len());
        log[at] ^= by;
        prop_assert!(verify_bytes(&log).is_err());
    }

    #[test]
    fn a_file_that_ends_anywhere_is_found(end in any::<prop::sample::Index>()) {
        let log = TWENTY.clone();
        let end = end.index(log.len());
        prop_assert!(verify_bytes(&log[..end]).is_err());
    }

    #[test]
    fn bytes_that_are_no_log_are_refused_and_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify_bytes(&bytes).is_err());
    }
}

fn lines(log: &[u8]) -> Vec<&[u8]> {
    log.split_inclusive(|byte| *byte == b'\n').collect()
}

#[test]
fn a_line_that_is_removed_is_found_at_its_leaf() {
    let log = TWENTY.clone();
    let lines = lines(&log);
    for leaf in 0..20 {
        let mut lines = lines.clone();
        lines.remove(1 + leaf);
        assert_eq!(verify_bytes(&lines.concat()).unwrap_err().leaf, Some(leaf as u64));
    }
}

#[test]
fn a_line_that_is_doubled_is_found_at_the_next_leaf() {
    let log = TWENTY.clone();
    let lines = lines(&log);
    for leaf in 0..20 {
        let mut lines = lines.clone();
        lines.insert(1 + leaf, lines[1 + leaf]);
        assert_eq!(verify_bytes(&lines.concat()).unwrap_err().leaf, Some(leaf as u64 + 1));
    }
}

#[test]
fn two_lines_that_are_swapped_are_found_at_the_first() {
    let log = TWENTY.clone();
    let lines = lines(&log);
    for leaf in 0..19 {
        let mut lines = lines.clone();
        lines.swap(1 + leaf, 2 + leaf);
        assert_eq!(verify_bytes(&lines.concat()).unwrap_err().leaf, Some(leaf as u64));
    }
}

#[test]
fn leaves_that_are_cut_off_the_end_are_missed_by_the_checkpoint() {
    let book = twenty();
    let note = signing_key().checkpoint(book.head());
    let broken = verify_bytes(&book::export(&book.entries()[..18], &note)).unwrap_err();
    assert_eq!(broken.leaf, Some(18));
    assert!(broken.what.contains("signs 20 leaves"), "{broken}");
}

#[test]
fn leaves_that_are_cut_off_together_with_their_checkpoint_are_missed_by_an_earlier_one() {
    let book = twenty();
    let key = signing_key();
    let earlier = [key.verifier().open(&key.checkpoint(book.head())).unwrap()];
    let cut = Book::granted(1);
    let trust = Trust { key: key.verifier(), earlier: &earlier, assertions: &book::check };
    let broken = verify(cut.export().as_slice(), &trust).unwrap_err();
    assert!(broken.what.contains("an earlier checkpoint signed 20 leaves"), "{broken}");
    assert!(verify(book.export().as_slice(), &trust).is_ok());
}

#[test]
fn a_log_that_was_rewritten_under_its_own_key_is_found_by_an_earlier_checkpoint() {
    let mut book = Book::granted(1);
    let key = signing_key();
    let earlier = [key.verifier().open(&key.checkpoint(book.head())).unwrap()];
    let last = book.records.len() as u64;
    book.records.pop();
    book.now += 5;
    let granted = book.grant(book::ONE, 1, &[(&ann(), Role::Approver)]);
    book.add(book::grant_refs(&granted), &granted);
    book.spend(1);
    let trust = Trust { key: key.verifier(), earlier: &earlier, assertions: &book::check };
    assert_eq!(verify(book.export().as_slice(), &trust).unwrap_err().leaf, Some(last - 1));
    assert!(book.verify().is_ok());
}

#[test]
fn another_key_is_not_taken() {
    let log = TWENTY.clone();
    let other = CheckpointKey::from_seed("stepup.example/log", &[6; 32]).unwrap();
    let trust = Trust { key: other.verifier(), earlier: &[], assertions: &book::check };
    assert!(verify(log.as_slice(), &trust).unwrap_err().what.contains("not the key that you trust"));
}

#[test]
fn a_checkpoint_that_is_signed_by_another_key_is_not_taken() {
    let book = twenty();
    let other = CheckpointKey::from_seed("stepup.example/log", &[6; 32]).unwrap();
    let broken = verify_bytes(&book::export(&book.entries(), &other.checkpoint(book.head()))).unwrap_err();
    assert!(broken.what.contains("not signed by the key"), "{broken}");
}

#[test]
fn an_envelope_that_was_altered_with_its_hash_is_found_by_the_root() {
    let book = twenty();
    let mut entries = book.entries();
    let envelope = &mut entries[8].envelope;
    *envelope = envelope.replace(r#""node":"a""#, r#""node":"b""#);
    entries[8].hash = leaf_hash(entries[8].envelope.as_bytes());
    let broken = verify_bytes(&book::export(&entries, &signing_key().checkpoint(book.head()))).unwrap_err();
    assert!(broken.what.contains("root that was signed"), "{broken}");
}

#[test]
fn an_envelope_of_another_format_is_not_read_as_one_of_this() {
    let entries = twenty().entries();
    for (from, to) in [
        (r#""v":1"#, r#""v":2"#),
        (r#"{"at":"#, r#"{"also":1,"at":"#),
        (r#""refs":{"#, r#""refs":{"also":"x","#),
    ] {
        let mut entries = entries.clone();
        assert_eq!(entries[8].envelope.matches(from).count(), 1, "{from}");
        entries[8].envelope = entries[8].envelope.replace(from, to);
        entries[8].hash = leaf_hash(entries[8].envelope.as_bytes());
        let leaves: Vec<_> = entries.iter().map(|entry| entry.hash).collect();
        let head = Head { size: 20, root: root(&leaves) };
        let broken = verify_bytes(&book::export(&entries, &signing_key().checkpoint(head))).unwrap_err();
        assert!(broken.what.contains("not one of this format"), "{to}: {broken}");
        assert_eq!(broken.leaf, Some(8));
    }
}

#[test]
fn a_body_that_was_swapped_with_another_records_is_found_at_its_leaf() {
    let book = twenty();
    let mut entries = book.entries();
    let (one, other) = (entries[8].contents.clone(), entries[10].contents.clone());
    (entries[8].contents, entries[10].contents) = (other, one);
    let broken = verify_bytes(&book::export(&entries, &signing_key().checkpoint(book.head()))).unwrap_err();
    assert_eq!(broken.leaf, Some(8));
    assert!(broken.what.contains("its body is not the one"), "{broken}");
}

#[test]
fn a_body_that_is_missing_without_a_record_of_its_erasure_is_found() {
    let mut book = twenty();
    book.erased.insert(9);
    let broken = book.verify().unwrap_err();
    assert_eq!(broken.leaf, Some(9));
    assert!(broken.what.contains("no record says that it was erased"), "{broken}");
}

#[test]
fn a_body_that_is_said_to_be_erased_and_is_here_is_found() {
    let mut book = twenty();
    book.erased.clear();
    let broken = book.verify().unwrap_err();
    assert_eq!(broken.leaf, Some(7));
    assert!(broken.what.contains("yet it is here"), "{broken}");
}

#[test]
fn an_erasure_of_what_is_not_yet_written_is_found() {
    let mut book = Book::new();
    book.add(by_caller(), &Erased { leaf: 1, by: "os:1000".to_owned(), why: String::new() });
    assert!(book.verify().unwrap_err().what.contains("a later body"));
}

#[test]
fn a_passkey_and_the_start_are_never_erased() {
    for leaf in [0, 1] {
        let mut book = twenty();
        book.add(by_caller(), &Erased { leaf, by: "os:1000".to_owned(), why: String::new() });
        book.erased.insert(leaf as usize);
        let broken = book.verify().unwrap_err();
        assert_eq!(broken.leaf, Some(u64::from(leaf)));
        assert!(broken.what.contains("never erased"), "{broken}");
    }
}

#[test]
fn an_id_that_comes_twice_is_found() {
    let mut book = Book::new();
    book.records.push(book.records[0].clone());
    let broken = book.verify().unwrap_err();
    assert_eq!(broken.leaf, Some(1));
    assert!(broken.what.contains("its id"), "{broken}");
}

#[test]
fn a_log_that_does_not_begin_with_its_start_is_found() {
    let mut book = Book::new();
    book.permit(1);
    book.records.remove(0);
    assert!(book.verify().unwrap_err().what.contains("begins with"));
    book.records.clear();
    assert!(book.verify().unwrap_err().what.contains("empty"));
}

#[test]
fn a_log_of_another_installation_under_the_same_key_is_found() {
    let log = String::from_utf8(TWENTY.clone()).unwrap();
    let other = terms::InstallId::from_slice(&[4; 16]).unwrap().to_string();
    let log = log.replacen(&book::install().to_string(), &other, 1);
    assert!(verify_bytes(log.as_bytes()).unwrap_err().what.contains("another installation"));
}

#[test]
fn what_follows_the_checkpoint_is_found() {
    let mut log = TWENTY.clone();
    log.push(b'\n');
    assert!(verify_bytes(&log).unwrap_err().what.contains("goes on"));
}

/// The 22 lines, of which one is rewritten so that it still means the same.
fn rewritten(line: usize, how: impl Fn(&str) -> String) -> Broken {
    let log = String::from_utf8(TWENTY.clone()).unwrap();
    let lines: Vec<String> = log
        .split_inclusive('\n')
        .enumerate()
        .map(|(at, text)| if at + 1 == line { how(text) } else { text.to_owned() })
        .collect();
    assert_ne!(lines.concat(), log, "nothing was rewritten");
    verify_bytes(lines.concat().as_bytes()).expect_err("a second form of one line")
}

type Rewrite = fn(&str) -> String;

#[test]
fn no_line_has_a_second_form() {
    let ways: [(&str, Rewrite); 7] = [
        ("CRLF", |line| line.replace('\n', "\r\n")),
        ("a space before", |line| format!(" {line}")),
        ("a space after", |line| line.replace('\n', " \n")),
        ("a space between", |line| line.replacen("\":", "\": ", 1)),
        ("an escape that need not be", |line| line.replacen('e', "\\u0065", 1)),
        ("members in another order", |line| {
            let Json::Object(members) = terms::json::parse(line.as_bytes()).unwrap() else { panic!() };
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{}:{value}", Json::from(name))).collect();
            format!("{{{}}}\n", members.into_iter().rev().collect::<Vec<_>>().join(","))
        }),
        ("a byte order mark", |line| format!("\u{feff}{line}")),
    ];
    for line in 1..=22 {
        for (way, how) in ways {
            // The checkpoint is its line's only member.
            if line == 22 && way == "members in another order" {
                continue;
            }
            let broken = rewritten(line, how);
            let place = format!("line {line} is not byte for byte what `stepup log export` writes");
            assert!(broken.what.starts_with(&place), "{way}: {broken}");
            assert!(broken.what.contains("as it was made"), "what to do: {broken}");
        }
    }
}

#[test]
fn a_number_of_a_leaf_has_one_form() {
    for (line, number) in [(2, "0.0"), (3, "1e0"), (4, "2.0")] {
        let from = format!("\"leaf\":{},", line - 2);
        let broken = rewritten(line, |text| text.replace(&from, &format!("\"leaf\":{number},")));
        assert!(broken.what.starts_with(&format!("line {line} is not byte for byte")), "{broken}");
    }
}

/// A checkpoint has one note: signatures of others, which the format lets a reader skip, are not in an export.
#[test]
fn a_checkpoint_with_another_signature_beside_its_own_is_refused() {
    let book = twenty();
    let note = signing_key().checkpoint(book.head());
    let own = note.lines().last().unwrap();
    let other = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=";
    for also in [own, other] {
        let broken = verify_bytes(&book::export(&book.entries(), &format!("{note}{also}\n"))).unwrap_err();
        assert!(broken.what.contains("one signature"), "{broken}");
    }
}
