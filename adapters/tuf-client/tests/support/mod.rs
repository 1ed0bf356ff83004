//! What the tests of the TUF client have in common.
#![allow(dead_code, reason = "every test binary uses another part of it")]

pub mod repo;
pub mod scenarios;
pub mod server;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use model::Timestamp;
use tuf::{Reason, TargetReason};
use tuf_client::{Client, Error, FetchError, HttpRepository, TrustedStore};

/// 2030-06-01: when the tests live.
pub const NOW: Timestamp = Timestamp::from_secs(1_906_502_400);
/// 2030-07-01: a month later.
pub const LATER: Timestamp = Timestamp::from_secs(1_909_094_400);

/// Lets python-tuf write all scenarios below a directory.
pub fn generate_with_python(out: &Path) {
    python("generate.py", &[out.as_os_str()]);
}

/// What python-tuf's own client downloads from the repository of a step.
pub fn follow_with_python(root: &Path, repository: &Path, target: &str) -> String {
    python("follow.py", &[root.as_os_str(), repository.as_os_str(), target.as_ref()])
}

/// Runs a script of `tests/tuf` and gives what it printed.
fn python(script: &str, arguments: &[&OsStr]) -> String {
    let python = std::env::var_os("SLUIS_TUF_PYTHON").expect(
        "SLUIS_TUF_PYTHON does not name a Python with tests/tuf/requirements.txt installed; \
         run the tests with `cargo xtask test`, which sets it up",
    );
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/tuf");
    let mut command = Command::new(&python);
    command.arg(directory.join(script)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output();
    let output =
        output.unwrap_or_else(|error| panic!("{} does not run: {error}", python.display()));
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A client of the server, with what is trusted in a directory.
pub fn client(server: &server::Server, store: TrustedStore) -> Client<HttpRepository> {
    // Loading the system's certificates takes longer than most tests.
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    let http = HTTP.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        reqwest::Client::new()
    });
    let (metadata, targets) = (server.metadata_url(), server.targets_url());
    let repository = HttpRepository::with_client(http.clone(), &metadata, &targets);
    Client::new(repository.expect("addresses"), store)
}

/// A word for an error, for tables: `snapshot rollback`.
pub fn word(error: &Error) -> String {
    match error {
        Error::Refused(tuf::Error::Repository { role, reason }) => {
            format!("{role} {}", reason_word(reason))
        }
        Error::Refused(tuf::Error::Stored { role, reason }) => {
            format!("stored {role} {}", reason_word(reason))
        }
        Error::Refused(tuf::Error::Target { reason, .. }) => match reason {
            TargetReason::Unknown => "target unknown",
            TargetReason::TooManyRoles { .. } => "target too many roles",
            TargetReason::BadName => "target bad name",
            TargetReason::NoSha256 => "target no sha256",
            TargetReason::Length { .. } => "target length",
            TargetReason::Hash => "target hash",
        }
        .to_owned(),
        Error::Fetch { source: FetchError::Missing, .. } => "fetch missing".to_owned(),
        Error::Fetch { source: FetchError::Stalled { .. }, .. } => "fetch stalled".to_owned(),
        Error::Fetch { source: FetchError::Broken(_), .. } => "fetch broken".to_owned(),
        other => format!("{other:?}"),
    }
}

fn reason_word(reason: &Reason) -> &'static str {
    match reason {
        Reason::Missing => "missing",
        Reason::TooLong { .. } => "too long",
        Reason::Malformed(_) => "malformed",
        Reason::WrongType { .. } => "type",
        Reason::SpecVersion(_) => "spec version",
        Reason::Signatures { .. } => "signatures",
        Reason::Rollback { .. } => "rollback",
        Reason::WrongVersion { .. } => "version",
        Reason::Expired { .. } => "expired",
        Reason::Length { .. } => "length",
        Reason::Hash { .. } => "hash",
        Reason::UnknownHash => "unknown hash",
        Reason::NotInSnapshot => "not in snapshot",
        Reason::Vanished(_) => "vanished",
        Reason::TooManyRoots { .. } => "too many roots",
    }
}
