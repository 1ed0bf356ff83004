//! How the client bears a bad line: data without end, slow data, breaks, and how it goes on.
// req: UPD-11

extern crate sluis_tuf_client as tuf_client;

mod support;

use std::path::Path;
use std::time::Duration;

use support::repo::{Repo, SOON};
use support::server::{Mode, Server};
use support::{LATER, NOW};
use tuf::clock::trusted_now;
use tuf::schema::RoleType;
use tuf::{Limits, VerifiedTarget};
use tuf_client::{Client, Error, HttpRepository, Pace, TrustedStore};

/// As patient as a test can be.
const PACE: Pace = Pace { window: Duration::from_millis(400), bytes: 1000 };

/// A directory with a repository of one step, and what a client trusts.
struct Place {
    directory: tempfile::TempDir,
    server: Server,
}

impl Place {
    async fn new(make: impl FnOnce(&mut Repo)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut repo = Repo::usual(&directory.path().join("repository"));
        make(&mut repo);
        repo.write();
        let server = Server::start().await;
        server.directory(&directory.path().join("repository/0"));
        let place = Self { directory, server };
        let root = std::fs::read(place.path("repository/root.json")).expect("a root");
        drop(TrustedStore::init(&place.path("trusted"), &root).expect("a root to trust"));
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn client(&self) -> Client<HttpRepository> {
        let store = TrustedStore::open(&self.path("trusted")).expect("a store");
        support::client(&self.server, store).with_pace(PACE)
    }

    async fn download(&self, name: &str) -> Result<String, Error> {
        let mut client = self.client();
        client.refresh(NOW).await?;
        let target = client.target(name).await?;
        download(&client, &target, &self.path("downloads")).await
    }
}

async fn download(
    client: &Client<HttpRepository>,
    target: &VerifiedTarget,
    directory: &Path,
) -> Result<String, Error> {
    let downloaded = client.download(target, directory, &mut |_| {}).await?;
    Ok(std::fs::read_to_string(downloaded.path).expect("a file"))
}

/// A content that differs everywhere.
fn long() -> String {
    (0..20_000).fold(String::new(), |text, n| text + &n.to_string() + "\n")
}

/// Every file of a way to a delegated target, and what comes of it when it never ends.
const FILES: [(&str, &str); 6] = [
    ("2.root.json", "root too long"),
    ("timestamp.json", "timestamp too long"),
    ("1.snapshot.json", "snapshot too long"),
    ("1.targets.json", "targets too long"),
    ("1.base.json", "base too long"),
    (".b.pkg", "target length"),
];

#[tokio::test]
async fn data_without_end_ends_at_the_limit() {
    let place = Place::new(|repo| repo.publish_root(None)).await;
    for (file, answer) in FILES {
        place.server.mode(file, Mode::Endless);
        let error = place.download("base/b.pkg").await.expect_err(file);
        assert_eq!(support::word(&error), answer, "{file}");
        place.server.behave();
    }
    assert_eq!(place.download("base/b.pkg").await.expect("the target"), "content of b");
}

#[tokio::test]
async fn slow_and_silent_servers_are_left() {
    let place = Place::new(|repo| {
        repo.publish_root(None);
        repo.add("base", "base/b.pkg", &"long ".repeat(1000));
    })
    .await;
    for (file, _) in FILES {
        for mode in [Mode::Silent, Mode::Drip(Duration::from_millis(20))] {
            place.server.mode(file, mode);
            let error = place.download("base/b.pkg").await.expect_err(file);
            assert_eq!(support::word(&error), "fetch stalled", "{file} {mode:?}");
            assert!(error.is_passing());
            place.server.behave();
        }
    }
    place.download("base/b.pkg").await.expect("the target");
}

#[tokio::test]
async fn a_slow_line_that_goes_on_may_take_as_long_as_it_takes() {
    let content = "slow ".repeat(500);
    let place = Place::new(|repo| repo.add("base", "base/b.pkg", &content)).await;
    place.server.mode(".b.pkg", Mode::Drip(Duration::from_micros(100)));
    let began = std::time::Instant::now();
    let mut client = place.client();
    client.refresh(NOW).await.expect("metadata");
    let target = client.target("base/b.pkg").await.expect("a target");
    // The least pace is so low that only the whole time could be too long.
    let client = client.with_pace(Pace { bytes: 10, ..PACE });
    assert_eq!(download(&client, &target, &place.path("d")).await.expect("all of it"), content);
    assert!(began.elapsed() > PACE.window, "took {:?}: proves nothing", began.elapsed());
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let content = long();
    let place = Place::new(|repo| repo.add("base", "base/b.pkg", &content)).await;
    place.server.mode(".b.pkg", Mode::Cut(50_000));
    assert_eq!(place.download("base/b.pkg").await.expect("all of it"), content);
    let requests = place.server.requests();
    let parts: Vec<_> = requests.iter().filter(|path| path.contains(".b.pkg")).collect();
    assert_eq!(parts.len(), content.len().div_ceil(50_000), "{parts:?}");
    assert!(parts[1].ends_with(" from 50000"), "{parts:?}");
}

#[tokio::test]
async fn what_came_is_kept_for_the_next_try() {
    let content = long();
    let place = Place::new(|repo| repo.add("base", "base/b.pkg", &content)).await;
    place.server.mode(".b.pkg", Mode::Cut(1000));
    let error = place.download("base/b.pkg").await.expect_err("too little at a time");
    assert_eq!(support::word(&error), "fetch broken");
    assert!(!place.path("downloads/base%2Fb.pkg").exists());
    // Once more, from a server that knows no ranges: all of it comes again.
    place.server.behave();
    place.server.mode(".b.pkg", Mode::NoRange);
    place.server.requests();
    assert_eq!(place.download("base/b.pkg").await.expect("all of it"), content);
    let requests = place.server.requests();
    assert!(requests.iter().any(|path| path.ends_with(".b.pkg from 1000")), "{requests:?}");
    // And once more: it is there already.
    assert_eq!(place.download("base/b.pkg").await.expect("all of it"), content);
    assert!(!place.server.requests().iter().any(|path| path.ends_with(".b.pkg")));
}

#[tokio::test]
async fn a_damaged_part_or_file_is_fetched_anew() {
    let content = long();
    let place = Place::new(|repo| repo.add("base", "base/b.pkg", &content)).await;
    place.server.mode(".b.pkg", Mode::Cut(1000));
    place.download("base/b.pkg").await.expect_err("too little at a time");
    place.server.behave();
    let part = std::fs::read_dir(place.path("downloads")).expect("a directory").next();
    let part = part.expect("a part").expect("a part").path();
    for damage in ["x".repeat(1000), "x".repeat(content.len()), "x".repeat(content.len() + 9)] {
        std::fs::write(&part, damage).expect("a file");
        assert_eq!(place.download("base/b.pkg").await.expect("all of it"), content);
        assert!(!part.exists());
        std::fs::write(place.path("downloads/base%2Fb.pkg"), "torn").expect("a file");
    }
    assert_eq!(place.download("base/b.pkg").await.expect("all of it"), content);
}

#[tokio::test]
async fn a_clock_that_steps_leaves_no_trace() {
    let soon = |repo: &mut Repo| {
        repo.expires.insert("timestamp".into(), SOON);
    };
    let place = Place::new(soon).await;
    let mut client = place.client();
    client.refresh(NOW).await.expect("fresh metadata");
    let error = client.refresh(LATER).await.expect_err("too late");
    assert_eq!(support::word(&error), "timestamp expired");
    assert!(client.target("a.txt").await.is_err(), "nothing is searched after a refusal");
    client.refresh(NOW).await.expect("the clock is right again");
    client.resume(NOW).expect("and nobody has to be asked");
    assert_eq!(support::word(&client.resume(LATER).expect_err("late")), "stored timestamp expired");
    // A clock that was set back does not bring it back to life for a program that was built, or
    // saw something signed, after it expired.
    for now in [trusted_now(LATER, None, NOW), trusted_now(NOW, Some(LATER), NOW)] {
        let error = client.refresh(now).await.expect_err("too late");
        assert_eq!(support::word(&error), "timestamp expired");
    }
}

#[tokio::test]
async fn a_long_chain_of_roots_is_followed_in_pieces() {
    let place = Place::new(|repo| (0..5).for_each(|_| repo.publish_root(None))).await;
    let limits = Limits { root_rotations: 3, ..Limits::default() };
    let mut client = place.client().with_limits(limits);
    let error = client.refresh(NOW).await.expect_err("more than three");
    assert_eq!(support::word(&error), "root too many roots");
    assert_eq!(client.refresh(NOW).await.expect("the rest").root().version, 6);
}

#[tokio::test]
async fn a_mirror_serves_what_was_verified_byte_for_byte() {
    let place = Place::new(|repo| repo.publish_root(None)).await;
    let mut client = place.client();
    assert!(client.export(&place.path("mirror/metadata")).is_err(), "nothing is verified yet");
    client.refresh(NOW).await.expect("metadata");
    client.fetch_all_roles().await.expect("delegated roles");
    client.export(&place.path("mirror/metadata")).expect("a mirror");
    for file in ["1.root.json", "2.root.json", "timestamp.json", "1.snapshot.json", "1.base.json"] {
        let original = std::fs::read(place.path("repository/0/metadata").join(file));
        let copy = std::fs::read(place.path("mirror/metadata").join(file)).expect(file);
        assert_eq!(copy, original.expect(file), "{file}");
    }
    // Another client, with the first root only, follows the mirror.
    let root = std::fs::read(place.path("repository/root.json")).expect("a root");
    let store = TrustedStore::init(&place.path("other"), &root).expect("a store");
    let server = Server::start().await;
    server.directory(&place.path("mirror"));
    let mut other = support::client(&server, store);
    assert_eq!(other.refresh(NOW).await.expect("metadata").root().version, 2);
    other.target("base/b.pkg").await.expect("a target");
}

#[tokio::test]
async fn a_mirror_completes_the_chain_of_roots_for_others() {
    let place = Place::new(|repo| {
        for _ in 0..3 {
            let both = [repo.rotate(RoleType::Root), repo.signers["root"].clone()].concat();
            repo.publish_root(Some(both));
        }
    })
    .await;
    // This one begins with the third root, as a newer program would.
    let files = place.path("repository/0/metadata");
    let third = std::fs::read(files.join("3.root.json")).expect("a root");
    let store = TrustedStore::init(&place.path("late"), &third).expect("a store");
    let mut client = support::client(&place.server, store);
    assert_eq!(client.refresh(NOW).await.expect("metadata").root().version, 4);
    // An old root that did not lead to what is trusted is not passed on.
    let good = std::fs::read(files.join("2.root.json")).expect("a root");
    std::fs::write(files.join("2.root.json"), &third).expect("written");
    let error = client.fetch_older_roots().await.expect_err("not the second root");
    assert_eq!(support::word(&error), "root version");
    let other = tempfile::tempdir().expect("a directory");
    let mut stranger = Repo::new(&other.path().join("repository"));
    (0..9).for_each(|_| drop(stranger.rotate(RoleType::Root)));
    stranger.publish_root(None);
    std::fs::write(files.join("2.root.json"), &stranger.roots[1]).expect("written");
    let error = client.fetch_older_roots().await.expect_err("another's root");
    assert_eq!(support::word(&error), "root signatures");
    std::fs::write(files.join("2.root.json"), good).expect("written");
    client.fetch_older_roots().await.expect("the roots before");
    client.export(&place.path("mirror/metadata")).expect("a mirror");
    drop(client);
    TrustedStore::open(&place.path("late")).expect("still whole");

    let root = std::fs::read(place.path("repository/root.json")).expect("a root");
    let store = TrustedStore::init(&place.path("early"), &root).expect("a store");
    let server = Server::start().await;
    server.directory(&place.path("mirror"));
    let mut early = support::client(&server, store);
    assert_eq!(early.refresh(NOW).await.expect("metadata").root().version, 4);
}
