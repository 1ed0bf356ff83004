//! The agent on an endpoint: Jump Client.
//!
//! Two processes of one program. [`keeper`] (`sluis-agent run`) starts the serving process
//! (`sluis-agent serve`), watches it and puts a bad version back; the serving process holds the link to
//! the site and the sessions, and replaces itself through [`update`]. `docs/design/0004-agent-self-update.md`
//! says why and what holds.

pub mod agent;
pub mod check_in;
pub mod config;
pub mod enrol;
pub mod keeper;
pub mod os;
pub mod serve;
pub mod update;

use model::{Release, Revision, Version};

/// The release of this build when its file carries no stamp: that of the source, revision 0.
pub fn built_release() -> Release {
    let version = Version::parse(env!("CARGO_PKG_VERSION"));
    Release { version: version.unwrap_or(Version::new(0, 0, 0)), revision: Revision(0) }
}

/// The release of the running program.
pub fn own_release() -> Release {
    let stamped = std::env::current_exe().and_then(|path| update::slots::release_of(&path));
    stamped.unwrap_or_else(|_| built_release())
}

/// An error with all its causes in one line; a cause that the text names already is not repeated.
pub fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text += ": ";
            text += &said;
        }
        source = cause.source();
    }
    text
}
