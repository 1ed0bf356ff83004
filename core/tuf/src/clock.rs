//! Which moment to believe.

use model::Timestamp;

/// The moment to compare expiry dates with: the latest of those that are known to have passed.
///
/// `built` is when this program was built, `last_signed` the latest moment that something
/// signed and verified named as its own, `system` what the system's clock says.
/// A clock that was set back can therefore not bring expired metadata back to life.
pub fn trusted_now(
    built: Timestamp,
    last_signed: Option<Timestamp>,
    system: Timestamp,
) -> Timestamp {
    built.max(system).max(last_signed.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_moment_counts() {
        let [early, middle, late] = [1, 2, 3].map(Timestamp);
        assert_eq!(trusted_now(late, Some(middle), early), late);
        assert_eq!(trusted_now(early, Some(late), middle), late);
        assert_eq!(trusted_now(early, Some(middle), late), late);
        assert_eq!(trusted_now(early, None, middle), middle);
    }
}
