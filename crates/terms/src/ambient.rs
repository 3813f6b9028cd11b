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
}
