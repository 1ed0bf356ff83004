//! The site as the base sees it: generations, which of them serves, and keeping one serving.

mod fleet;
mod generation;
mod relapse;
mod supervise;

pub use fleet::Fleet;
pub use generation::{Generation, Status};
pub use supervise::{end_silent, supervise};
