//! The pages of the update server as values.
//!
//! `sluis-update` fills them: [`Overview`] takes what the server knows in terms of `model` and turns it
//! into words.

mod overview;
mod text;

pub use overview::{ApplianceFacts, Overview, OverviewFacts, ReleaseFacts, ReportFacts};
