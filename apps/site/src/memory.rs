//! Gives memory back to the system after many clients came at once.
//!
//! A handshake needs far more than the link that comes of it, and what thousands of them leave lies scattered
//! between what stays; of itself the allocator gives back only what lies at its end.

use std::sync::Arc;
use std::time::Duration;

use crate::hub::Hub;

/// How often it looks whether a rush is over.
const LOOK: Duration = Duration::from_secs(2);

/// Links within one look that are still a rush.
const RUSH: u64 = 20;

/// Links that make it worth while.
const MANY: u64 = 200;

/// Looks after it as long as the process lives.
pub async fn keep(hub: Arc<Hub>) {
    let mut arrivals = Arrivals::default();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        if arrivals.rush_is_over(hub.links_ever()) {
            // It goes through the whole heap: milliseconds, which a session's task does not have.
            let given = tokio::task::spawn_blocking(give_back).await;
            tracing::debug!(given = given.unwrap_or(false), "Memory given back after a rush");
        }
    }
}

/// What has come so far, in links since the process began.
#[derive(Debug, Default)]
struct Arrivals {
    at_last_look: u64,
    when_given: u64,
}

impl Arrivals {
    /// Whether many came and now hardly any.
    const fn rush_is_over(&mut self, ever: u64) -> bool {
        let just_came = ever - self.at_last_look;
        self.at_last_look = ever;
        if just_came >= RUSH || ever - self.when_given < MANY {
            return false;
        }
        self.when_given = ever;
        true
    }
}

/// Answers whether there was anything to give.
#[cfg(target_env = "gnu")]
fn give_back() -> bool {
    // SAFETY: takes no pointer; the allocator locks what it goes through.
    unsafe { libc::malloc_trim(0) == 1 }
}

#[cfg(not(target_env = "gnu"))]
const fn give_back() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_each_rush_and_not_in_the_middle() {
        let mut arrivals = Arrivals::default();
        let looks = [0, 3, 1_000, 2_000, 2_010, 2_012, 2_100, 2_205, 2_209, 2_211, 2_211];
        let given: Vec<u64> =
            looks.into_iter().filter(|ever| arrivals.rush_is_over(*ever)).collect();
        assert_eq!(given, [2_010, 2_211], "the second waits until 200 more have come");
    }
    #[cfg(target_env = "gnu")]
    #[test]
    fn what_lies_between_what_stays_is_given_back() {
        let resident_pages = || -> usize {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("the system says it");
            statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number")
        };
        // 40 MB, of which every hundredth part stays.
        let mut blocks: Vec<Vec<u8>> = (0..10_000).map(|_| vec![1; 4_000]).collect();
        let mut number = 0;
        blocks.retain(|_| {
            number += 1;
            number % 100 == 0
        });
        let before = resident_pages();
        assert!(give_back());
        let given = before.saturating_sub(resident_pages());
        assert!(given > 7_000, "{given} pages of the 9,700 came back");
        assert_eq!(blocks.len(), 100);
    }
}
