//! Fetches TUF metadata and targets and keeps the trusted store on disk.
//!
//! All decisions are made in `sluis-core-tuf`; here are the [`Repository`] that bytes come from,
//! the [`TrustedStore`] that survives any crash, and the [`Client`] that carries bytes between the
//! three. Base and `sluis-tuf` fetch over HTTP (feature `http`), agent and console from their site (feature
//! `rescue`).

mod client;
mod disk;
mod download;
mod error;
#[cfg(feature = "http")]
mod http;
mod pace;
mod repository;
#[cfg(feature = "rescue")]
mod rescue;
mod store;

pub use client::Client;
pub use download::{Downloaded, verify_file};
pub use error::Error;
#[cfg(feature = "http")]
pub use http::HttpRepository;
pub use pace::Pace;
pub use repository::{Body, FetchError, Place, Repository};
#[cfg(feature = "rescue")]
pub use rescue::{Connect, RescueRepository, Socket};
pub use store::{StoreError, TrustedStore};
