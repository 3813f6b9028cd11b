//! A clock that tests turn by hand, and bytes that are the same in every run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use terms::{Ambient, Boottime, Digest, Millis, Time};

/// The ambient of a test. Time stands still until it is turned.
#[derive(Debug)]
pub struct TestAmbient {
    now: AtomicI64,
    boot: AtomicU64,
    seed: u64,
    drawn: AtomicU64,
}

impl Default for TestAmbient {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl TestAmbient {
    /// At 2026-01-01T00:00:00Z, with bytes that follow from the seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        let (now, boot, drawn) = (AtomicI64::new(1_767_225_600_000), AtomicU64::new(0), AtomicU64::new(0));
        Self { now, boot, seed, drawn }
    }

    /// Turns both clocks on.
    pub fn pass(&self, span: Millis) {
        let millis = i64::try_from(span.get()).unwrap_or(i64::MAX);
        self.now.fetch_add(millis, Ordering::SeqCst);
        self.boot.fetch_add(span.get().saturating_mul(1_000_000), Ordering::SeqCst);
    }
}

impl Ambient for TestAmbient {
    fn now(&self) -> Time {
        Time::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn boottime(&self) -> Boottime {
        Boottime::from_nanos(self.boot.load(Ordering::SeqCst))
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            let block = Digest::of("stepup/test\0", &[&self.seed.to_be_bytes(), &drawn.to_be_bytes()]);
            for (to, from) in chunk.iter_mut().zip(block.bytes()) {
                *to = *from;
            }
        }
    }
}
