//! What is said of a request: of a call, which its caller runs, and of a change of this installation, which whoever asked for it
//! makes by asking again.

use terms::Access;

/// The sentences that differ.
pub(crate) struct Words {
    /// After the last signature.
    pub(crate) approved: &'static str,
    /// The same while a lock stands that the person may lift.
    pub(crate) locked: &'static str,
    /// The same while one stands that takes somebody else.
    pub(crate) locked_for_others: &'static str,
    /// After a rejection.
    pub(crate) rejected: &'static str,
    /// After a rejection with a lock.
    pub(crate) rejected_and_locked: &'static str,
    /// What came of it, in a word or two: while it goes on, done, failed, not sent, nobody knows.
    pub(crate) outcomes: [&'static str; 5],
    /// Nothing came of it yet; the time was over; it was taken back; it ended otherwise.
    pub(crate) nothing: [&'static str; 4],
    /// The same as the sentences of its story, and done without its caller having heard.
    pub(crate) attempted: [&'static str; 6],
    /// What the grant still allows; the same while a lock stands; that its time is over.
    pub(crate) open: [&'static str; 3],
    /// How it ended: expired, rejected, withdrawn, closed.
    pub(crate) ended: [&'static str; 4],
    /// In which capacity a person signs: as an approver, and as the owner.
    pub(crate) capacity: [&'static str; 2],
}

/// Of an access.
pub(crate) fn of(access: &Access) -> &'static Words {
    if access.reaches().is_some() { &CALL } else { &CHANGE }
}

static CALL: Words = Words {
    approved: "Approved. The caller may run it now.",
    locked: "Approved, but locked: nothing runs while a lock stands. You can lift it under Locks.",
    locked_for_others: "Approved, but locked: nothing runs while a lock stands. Lifting it takes somebody who is not behind this \
        caller.",
    rejected: "Rejected. The caller is told why.",
    rejected_and_locked: "Rejected, and the caller is locked.",
    outcomes: ["running", "ran: done", "ran: failed", "not sent", "outcome unknown"],
    nothing: ["not run yet", "lapsed, nothing ran", "taken back, nothing ran", "nothing ran"],
    attempted: [
        "It is running now.",
        "It ran: done.",
        "It ran, and the upstream answered that it failed.",
        "It was started, but nothing was sent to the upstream.",
        "It was started, and nobody knows whether it took effect.",
        "It ran: done. The answer did not reach the caller.",
    ],
    open: [
        "The caller may run it; left:",
        "A lock stops it, and its time runs; left:",
        "The time to run it is over.",
    ],
    ended: [
        "Nobody answered in time. Nothing ran.",
        "Rejected. Nothing ran.",
        "Withdrawn on the caller's side. Nothing ran.",
        "Closed, because what it takes has changed. A new request takes its place.",
    ],
    capacity: [
        "You sign as an approver: you are not behind this caller.",
        "You sign as the owner of this caller: your own confirmation, not an approval by others.",
    ],
};

static CHANGE: Words = Words {
    approved: "Approved. It is made once whoever asked does the same again; a saved policy folder does so by itself.",
    locked: "Approved, but locked: it is not made while a lock stands. You can lift it under Locks.",
    locked_for_others: "Approved, but locked: it is not made while a lock stands. Lifting it takes somebody who is not behind whoever \
        asked.",
    rejected: "Rejected. Whoever asks for it again is told why.",
    rejected_and_locked: "Rejected, and whoever asked is locked.",
    outcomes: ["being made", "made", "not made", "not made", "outcome unknown"],
    nothing: ["not made yet", "lapsed, nothing changed", "taken back, nothing changed", "nothing changed"],
    attempted: [
        "It is being made now.",
        "It was made.",
        "It was begun, and not made: something else had changed. The approval is used up.",
        "It was begun, and not made. The approval is used up.",
        "It was begun, and nobody knows whether it was made.",
        "It was made.",
    ],
    open: [
        "It is made once whoever asked does the same again; left:",
        "A lock stops it, and its time runs; left:",
        "The time to make it is over.",
    ],
    ended: [
        "Nobody answered in time. Nothing changed.",
        "Rejected. Nothing changed.",
        "Withdrawn. Nothing changed.",
        "Closed, because the rules have changed since. Nothing changed by it; asked for again, it is another request.",
    ],
    capacity: [
        "You sign as an approver: it is not you who asks.",
        "You asked for this yourself: your own confirmation, not an approval by others.",
    ],
};
