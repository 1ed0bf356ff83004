use std::time::Duration;

/// How long to wait before the next try: doubling, with jitter, up to a ceiling.
///
/// The jitter keeps ten thousand clients from coming back in the same millisecond.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits from about `first` up to about `ceiling`.
    pub const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, tries: 0 }
    }

    /// Says that it worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// The next wait: between a half and the whole of the doubled time.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.tries.min(20));
        self.tries = self.tries.saturating_add(1);
        let whole = doubled.min(self.ceiling);
        let mut draw = [0; 4];
        // Without randomness the wait is the whole: never shorter than meant.
        let part = match aws_lc_rs::rand::fill(&mut draw) {
            Ok(()) => u32::from_le_bytes(draw),
            Err(_) => u32::MAX,
        };
        whole / 2 + whole.mul_f64(f64::from(part) / f64::from(u32::MAX)) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_start_again_after_success() {
        let (first, ceiling) = (Duration::from_millis(50), Duration::from_secs(10));
        let mut backoff = Backoff::new(first, ceiling);
        for tries in 0..40 {
            let whole = first.saturating_mul(1 << tries.min(20)).min(ceiling);
            let wait = backoff.next_wait();
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} at try {tries}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= first);
    }
}
