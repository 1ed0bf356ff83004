//! What all pages share: layout, URLs as types, escaping, forms, style sheet.
//!
//! A page is a value: a struct that implements [`Body`] and carries ready words, never raw data.
//! [`Page`] puts it into the [`Frame`] of its interface and turns both into HTML; a fragment is
//! the same struct that the full page embeds, so that the two cannot differ.
//! The pages themselves stand in `ui/site`, `ui/appliance` and `ui/update`; the handlers that fill
//! them stand in the apps. Nothing here does I/O.
//!
//! To add a page: its URL in [`url`], a struct with `#[derive(Template)]` that implements
//! `HtmlSafe`, [`Body`] and [`Samples`], its template of the same name, a line in `tests/pages.rs`
//! of its crate; `GOLDEN=write cargo nextest run -p CRATE` writes its golden files, which a browser
//! opens as they are but for the style sheet.
//!
//! Everything that is written into HTML is escaped, except types that implement
//! `askama::filters::HtmlSafe`; those are the widgets below and the bodies of pages, each of which
//! escapes what it holds.

pub mod account;
mod assets;
mod choice;
mod confirm;
mod form;
mod layout;
mod notice;
mod problem;
mod shell;
mod text;
pub mod url;
mod widgets;
mod words;

pub use assets::{CONTENT_SECURITY_POLICY, css, script};
pub use choice::{Check, Choice, Choosable, Select};
pub use confirm::Confirm;
pub use form::{Csrf, CsrfInput, Field, FieldKind};
pub use layout::{Body, Frame, Page, Refresh, Samples, Tab, Variant, Viewer};
pub use notice::{Flash, Notice};
pub use problem::{ErrorPage, Link, Maintenance};
pub use shell::{Shell, SignedIn, Tabs};
pub use text::{Lang, package_kind, session_kind};
pub use widgets::{Badge, Moment, Progress, Tone};
pub use words::{count, duration, shorten, size};
