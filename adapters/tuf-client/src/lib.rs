//! Fetches TUF metadata and targets and keeps the trusted store on disk.
//!
//! All decisions are made in `sluis-core-tuf`; here are the [`Repository`] that bytes come from,
//! the [`TrustedStore`] that survives any crash, and the [`Client`] that carries bytes between the
//! three. Base, console and `sluis-tuf` fetch over HTTP (feature `http`), the agent through its link.

mod client;
mod disk;
mod download;
mod error;
#[cfg(feature = "http")]
mod http;
mod pace;
mod repository;
mod store;

pub use client::Client;
pub use download::{Downloaded, verify_file};
pub use error::Error;
#[cfg(feature = "http")]
pub use http::HttpRepository;
pub use pace::Pace;
pub use repository::{Body, FetchError, Place, Repository};
pub use store::{StoreError, TrustedStore};
