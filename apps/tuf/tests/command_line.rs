//! The command line as conformance suites drive it: exit codes, what is asked of the repository,
//! and what the directory of metadata then holds.
// req: UPD-11

#[path = "../../../adapters/tuf-client/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::repo::Repo;
use support::server::{Mode, Server};
use tokio::process::Command;

struct Rig {
    directory: tempfile::TempDir,
    server: Server,
}

/// What a run came to.
struct Ran {
    code: Option<i32>,
    said: String,
}

impl Rig {
    async fn new(make: impl FnOnce(&mut Repo)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut repo = Repo::usual(&directory.path().join("repository"));
        make(&mut repo);
        let server = Server::start().await;
        server.directory(&repo.write());
        for made in ["metadata", "targets"] {
            fs::create_dir(directory.path().join(made)).expect("a directory");
        }
        Self { directory, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis-tuf"));
        let output = command.args(arguments).kill_on_drop(true).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { code: output.status.code(), said }
    }

    async fn init(&self, root: &Path) -> Ran {
        let metadata = text(&self.path("metadata"));
        self.run(&["--metadata-dir", &metadata, "init", &text(root)]).await
    }

    async fn refresh(&self) -> Ran {
        let (url, metadata) = (self.server.metadata_url(), text(&self.path("metadata")));
        self.run(&["--metadata-url", &url, "--metadata-dir", &metadata, "refresh"]).await
    }

    async fn download(&self, name: &str) -> Ran {
        let (url, metadata) = (self.server.metadata_url(), text(&self.path("metadata")));
        let (base, targets) = (self.server.targets_url(), text(&self.path("targets")));
        self.run(&[
            "--metadata-url",
            &url,
            "--metadata-dir",
            &metadata,
            "--target-name",
            name,
            "--target-dir",
            &targets,
            "--target-base-url",
            &base,
            "download",
        ])
        .await
    }

    /// Names of files in a directory that are not hidden, in order.
    fn files(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).expect("a directory");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<_> = entries.map(name).filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn a_client_starts_follows_and_downloads() {
    let rig = Rig::new(|_| {}).await;
    let root = rig.path("repository/root.json");
    assert_eq!(rig.init(&root).await.code, Some(0));
    assert_eq!(rig.files("metadata"), ["root.json"]);
    assert!(rig.server.requests().is_empty(), "init asks nobody");

    assert_eq!(rig.refresh().await.code, Some(0));
    let asked = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    assert_eq!(rig.server.requests(), asked.map(|file| format!("/metadata/{file}")));
    let held = ["root.json", "snapshot.json", "targets.json", "timestamp.json"];
    assert_eq!(rig.files("metadata"), held);
    for (held, published) in [
        ("root.json", "1.root.json"),
        ("snapshot.json", "1.snapshot.json"),
        ("targets.json", "1.targets.json"),
        ("timestamp.json", "timestamp.json"),
    ] {
        let published = fs::read(rig.path("repository/0/metadata").join(published));
        let held = fs::read(rig.path("metadata").join(held));
        assert_eq!(held.expect("a file"), published.expect("a file"));
    }

    // What is current is not fetched again; a delegated role when it is needed.
    assert_eq!(rig.download("base/b.pkg").await.code, Some(0));
    let asked = rig.server.requests();
    assert_eq!(
        asked[..3],
        ["2.root.json", "timestamp.json", "1.base.json"].map(|f| format!("/metadata/{f}"))
    );
    assert_eq!(rig.files("targets"), ["base%2Fb.pkg"]);
    let content = fs::read_to_string(rig.path("targets/base%2Fb.pkg")).expect("the target");
    assert_eq!(content, "content of b");
    assert_eq!(rig.init(&root).await.code, Some(0), "the same root once more changes nothing");
    assert_eq!(rig.files("metadata").len(), 5);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_way_out() {
    let rig = Rig::new(|_| {}).await;
    let refused = rig.refresh().await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.said.contains("holds no trusted root"), "{}", refused.said);
    assert!(refused.said.contains("Initialise it with a root"), "{}", refused.said);
    assert!(rig.server.requests().is_empty(), "without trust nobody is asked");

    let bad = rig.path("bad.json");
    let good = fs::read_to_string(rig.path("repository/root.json")).expect("a root");
    fs::write(&bad, good.replace("\"sig\": \"", "\"sig\": \"00")).expect("a file");
    let refused = rig.init(&bad).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.said.contains("0 of its keys signed it, 1 are needed"), "{}", refused.said);
    assert_eq!(rig.refresh().await.code, Some(1));
    assert_eq!(rig.init(&rig.path("none")).await.code, Some(1));

    rig.init(&rig.path("repository/root.json")).await;
    let refused = rig.download("none").await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.said.contains("“none”"), "{}", refused.said);
    assert_eq!(rig.files("metadata").len(), 4, "the metadata is up to date all the same");

    rig.server.mode("timestamp.json", Mode::Cut(10));
    let refused = rig.refresh().await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.said.contains("metadata timestamp.json cannot be fetched"), "{}", refused.said);
    assert_eq!(rig.run(&["refresh"]).await.code, Some(1), "arguments are missing");
    assert_eq!(rig.run(&["--version"]).await.code, Some(0));
}
