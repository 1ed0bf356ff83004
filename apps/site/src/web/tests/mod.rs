//! The router with a real database, as a browser and as a program see it.

mod abuse;
mod api;
mod appliance;
mod browser;
mod fixture;
mod pages;
mod recordings;
mod rescue;
mod sign_in;
