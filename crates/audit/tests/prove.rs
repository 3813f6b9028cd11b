//! A record is proven to whoever has the key, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod book;

use audit::{CheckpointKey, Proof};
use book::{Book, signing_key};
use terms::Digest;

fn proofs() -> Vec<Proof> {
    let mut book = Book::granted(1);
    book.spend(1);
    let hashes: Vec<Digest> = book.records.iter().map(|record| record.hash).collect();
    let note = signing_key().checkpoint(book.head());
    let prove = |entry| Proof::of(entry, hashes.as_slice(), book.leaf(), note.clone()).unwrap();
    book.entries().into_iter().map(prove).collect()
}

#[test]
fn every_record_is_proven_by_its_text_alone() {
    for proof in proofs() {
        let text = proof.to_json().text();
        let read = Proof::from_json(&terms::json::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.verify(signing_key().verifier()).unwrap().head.size, 8);
    }
}

#[test]
fn a_proof_without_the_body_is_of_the_envelope() {
    let mut proof = proofs().remove(5);
    proof.entry.contents = None;
    assert!(proof.verify(signing_key().verifier()).is_ok());
}

#[test]
fn nothing_else_is_proven() {
    let all = proofs();
    let bends: [fn(&mut Proof, &Proof); 6] = [
        |proof, other| proof.entry.contents = other.entry.contents.clone(),
        |proof, other| proof.entry.envelope = other.entry.envelope.clone(),
        |proof, other| {
            proof.entry.envelope = other.entry.envelope.clone();
            proof.entry.hash = other.entry.hash;
        },
        |proof, other| proof.entry.leaf = other.entry.leaf,
        |proof, other| proof.path = other.path.clone(),
        |proof, _| {
            let other = CheckpointKey::from_seed("stepup.example/log", &[6; 32]).unwrap();
            proof.checkpoint = other.checkpoint(Book::granted(1).head());
        },
    ];
    for bend in bends {
        let mut proof = all[5].clone();
        bend(&mut proof, &all[6]);
        assert!(proof.verify(signing_key().verifier()).is_err());
    }
}

/// The golden file is what `crates/checker` reads, which knows this format from `docs/records.md` alone.
#[test]
fn a_log_has_one_file_byte_for_byte() {
    let mut book = Book::granted(1);
    book.permit(1);
    book.settle(1, audit::body::Outcome::Done);
    book.spend(2);
    book.settle(2, audit::body::Outcome::NotSent);
    assert!(book.verify().is_ok());
    let file = String::from_utf8(book.export()).unwrap();
    assert_eq!(file, include_str!("golden/log.jsonl"));
}
