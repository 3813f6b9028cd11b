//! The one clock and the one source of randomness. Everything else is handed them (R17).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use terms::{Ambient, Boottime, Time};

/// The machine's clocks and generator.
#[derive(Default)]
pub struct Machine {
    /// The latest time that was given out: within one process, time does not run backwards.
    latest: AtomicI64,
    #[cfg(feature = "crash-seam")]
    crash: crash::Countdown,
}

impl Ambient for Machine {
    #[allow(clippy::disallowed_methods)] // the one place
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let now = i64::try_from(since).unwrap_or(i64::MAX);
        Time::from_millis(self.latest.fetch_max(now, Ordering::AcqRel).max(now))
    }

    fn boottime(&self) -> Boottime {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        Boottime::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    fn fill(&self, bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            // Nothing weaker is ever returned (F56).
            tracing::error!("the operating system gives no randomness; stopping");
            std::process::abort();
        }
    }

    #[cfg(feature = "crash-seam")]
    fn seam(&self, seam: terms::Seam) {
        self.crash.pass(seam);
    }
}

/// The crash sweep: the k-th passing of any seam ends the process as a power cut would end it for us.
#[cfg(feature = "crash-seam")]
mod crash {
    use std::sync::atomic::{AtomicU64, Ordering};

    pub(super) struct Countdown {
        at: Option<u64>,
        passed: AtomicU64,
    }

    impl Default for Countdown {
        fn default() -> Self {
            let at = std::env::var("STEPUP_CRASH_AT").ok().and_then(|k| k.parse().ok());
            Self { at, passed: AtomicU64::new(0) }
        }
    }

    impl Countdown {
        pub(super) fn pass(&self, seam: terms::Seam) {
            let passed = self.passed.fetch_add(1, Ordering::AcqRel) + 1;
            if self.at == Some(passed) {
                tracing::error!(?seam, passed, "the crash sweep ends this process here");
                std::process::abort();
            }
        }
    }
}
