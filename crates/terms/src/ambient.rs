//! What a pure core must be handed: the clock and randomness. The binary implements it once
//! (`stepup/src/clock.rs`); tests implement it with a clock that they turn by hand.

use crate::time::{Boottime, Time};

/// The clock and the source of randomness.
pub trait Ambient: Send + Sync {
    /// Wall-clock time; never runs backwards within one process.
    fn now(&self) -> Time;

    /// `CLOCK_BOOTTIME`, for deadlines within this process.
    fn boottime(&self) -> Boottime;

    /// Fills with bytes from the operating system's generator. Aborts the process rather than return
    /// anything weaker (F56).
    fn fill(&self, bytes: &mut [u8]);

    /// A place at which a crash must be harmless. Does nothing, except in the crash sweep, where the k-th
    /// passing of any seam ends the process (decisions §9).
    fn seam(&self, _seam: Seam) {}
}

/// The places at which the crash sweep ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Before a transaction of the store begins.
    StoreBegin,
    /// After its statements, before COMMIT.
    StoreCommit,
    /// After COMMIT, before anyone is told.
    StoreCommitted,
    /// Before the first byte to an upstream.
    UpstreamSend,
    /// After the last byte was handed over for an upstream, which may have all, some or none of them.
    UpstreamSent,
    /// After the upstream's answer arrived.
    UpstreamAnswered,
    /// Before the answer to the caller.
    AnswerSend,
}
