//! What people and programs can do, once for both: pages and API call the same functions.

pub mod accounts;
pub mod audit;
pub mod clients;
pub mod enrol;
pub mod recordings;
pub mod sessions;
pub mod sign_in;
pub mod tokens;
