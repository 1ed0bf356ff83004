//! The console brings itself to its site's version when it starts.
//!
//! The new program is fetched from the site and believed for its signatures alone: the TUF root was
//! taken over the proven link at the first sign-in. It must run before it takes the old one's place,
//! and the old one is kept beside it as `NAME.old`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use ::session::OpenApi;
use anyhow::{Context, Result, bail, ensure};
use link::{Current, LinkHandle};
use model::{Release, Revision, Timestamp, Version};
use release::{ClientBuild, ClientKind};
use tuf_client::{Client, Connect, RescueRepository, Socket, TrustedStore};

use crate::profile::Profile;
use crate::version;

/// Metadata that expired before this moment is expired whatever the clock says: 2026-11-21.
const BUILT: Timestamp = Timestamp::from_secs(1_795_219_200);

/// A first root is a few kilobytes.
const ROOT_MAX: usize = 512 * 1024;

/// Set in the program that replaced another one, so that it does not try again.
const UPDATED: &str = "SLUIS_UPDATED";

struct OnLink(LinkHandle);

impl Connect for OnLink {
    async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        let (reader, writer) = self.0.open().map_err(io::Error::other)?.split();
        writer.message(OpenApi {}).await.map_err(io::Error::other)?;
        Ok(Box::new(reader.into_stream(writer)))
    }
}

/// Takes the site's first root over its proven link, once.
///
/// # Errors
/// When the site gives none; updates then wait for the next sign-in.
pub async fn trust_first_root(profile: &Profile, current: &Current) -> Result<()> {
    let repository = RescueRepository::new(OnLink(current.handle.clone()));
    let root = repository.first_root(ROOT_MAX).await.context("the site gives no TUF root")?;
    TrustedStore::open_or_init(&profile.tuf(), &root).context("the TUF root cannot be kept")?;
    Ok(())
}

/// Replaces this program by the site's version of it and runs that instead; comes back when there is
/// nothing to do. What goes wrong is said, and this version goes on.
pub async fn follow(profile: &Profile, current: &Current) {
    let Some(wanted) = wanted(current) else { return };
    match replace(profile, current, &wanted).await {
        Ok(program) => run_instead(&program, &wanted),
        Err(error) => {
            eprintln!("sluis: this console stays {}: {error:#}", version::text());
        }
    }
}

/// The site's release, when this program is another one and may follow.
fn wanted(current: &Current) -> Option<Release> {
    // A program that was built by hand is its builder's business.
    let own = version::stamped()?;
    let version = Version::parse(&current.site.version).ok()?;
    let site = Release { version, revision: Revision(current.site.revision) };
    (own != site && std::env::var_os(UPDATED).is_none()).then_some(site)
}

async fn replace(profile: &Profile, current: &Current, wanted: &Release) -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let folder = program.parent().context("this program is in no folder")?.to_owned();
    if let Err(error) = tempfile_in(&folder) {
        bail!(
            "{} cannot be written ({error}); whoever installed it must update it",
            folder.display()
        );
    }
    let arch = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let target = format!("console/console-{}-r{}-{arch}", wanted.version, wanted.revision.0);
    eprintln!("sluis: the site runs {wanted}; fetching this console's {wanted} …");
    let new = fetch(profile, current, &target, wanted).await?;
    put_in_place(&program, &new)
        .with_context(|| format!("{} cannot be replaced", program.display()))?;
    Ok(program)
}

/// Whether files can be made there.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".sluis-probe-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

async fn fetch(
    profile: &Profile,
    current: &Current,
    target: &str,
    wanted: &Release,
) -> Result<PathBuf> {
    let store = TrustedStore::open(&profile.tuf())
        .context("no TUF root is kept here; `sluis login` takes it")?;
    let repository = RescueRepository::new(OnLink(current.handle.clone()));
    let mut client = Client::new(repository, store);
    let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let system = Timestamp(u64::try_from(system.as_millis()).unwrap_or(u64::MAX));
    client.refresh(tuf::clock::trusted_now(BUILT, None, system)).await?;
    let verified = client.target(target).await?;
    let null = serde_json::Value::Null;
    let build = ClientBuild::from_custom(target, verified.custom().unwrap_or(&null))
        .with_context(|| format!("{target} does not say what it is"))?;
    ensure!(
        build.kind == ClientKind::Console && build.release() == *wanted,
        "{target} is something else"
    );
    let mut progress = |_| {};
    let downloaded = client.download(&verified, &profile.downloads(), &mut progress).await?;
    Ok(downloaded.path)
}

/// Tries the new program, keeps the old one beside it, and renames the new one over it.
fn put_in_place(program: &Path, new: &Path) -> Result<()> {
    let staged = program.with_extension("new");
    fs::copy(new, &staged)?;
    #[cfg(unix)]
    fs::set_permissions(&staged, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::File::open(&staged)?.sync_all()?;
    let tried = Command::new(&staged).arg("--version").env(UPDATED, "1").output();
    let runs = tried.as_ref().is_ok_and(|output| output.status.success());
    if !runs {
        let _ = fs::remove_file(&staged);
        bail!("the new version does not run here: {tried:?}");
    }
    let old = program.with_extension("old");
    let _ = fs::remove_file(&old);
    fs::hard_link(program, &old).or_else(|_| fs::copy(program, &old).map(drop))?;
    fs::rename(&staged, program)?;
    let _ = fs::remove_file(new);
    Ok(())
}

/// Runs the new program with the same words; only comes back when that fails.
fn run_instead(program: &Path, release: &Release) {
    eprintln!(
        "sluis: this console is {release} now; the version before is kept as {}",
        program.with_extension("old").display()
    );
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(UPDATED, "1");
    #[cfg(unix)]
    {
        let error = std::os::unix::process::CommandExt::exec(&mut command);
        eprintln!("sluis: it could not be started ({error}); it runs at the next start");
    }
    #[cfg(not(unix))]
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => {
            eprintln!("sluis: it could not be started ({error}); it runs at the next start");
        }
    }
}
