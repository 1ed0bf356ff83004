//! Releases that fail in every way, on a real appliance with real agents and sessions at work: each is
//! put back by itself, with its reason, and nobody loses anything.

use std::path::Path;

use sluis_e2e::bad::{Fault, Notice, PutBack, Story, table};

/// `[limits]` of `base.toml`: as shipped, but for shorter deadlines.
const LIMITS: &str =
    "prove_s = 20\nswitch_s = 5\ntrial_s = 20\nstable_s = 2\nmigrate_s = 3\nmemory_mib = 400\n";

const fn fault(
    name: &'static str,
    phase: &'static str,
    notice: Notice,
    reason: &'static str,
) -> Fault {
    Fault { name, schema: 1, phase, notice, reason }
}

/// What shows before the new version takes over.
const BESIDE: [Fault; 6] = [
    fault("crash-at-start", "expanded", Notice::AtOnce, "died at its start: signal 6 ended it"),
    fault("no-certificate", "expanded", Notice::AtOnce, "cannot read /nowhere/cert.pem"),
    fault("hang-at-start", "expanded", Notice::AtDeadline(20), "was not ready within"),
    fault("other-identity", "expanded", Notice::AtOnce, "has another identity than the site that"),
    fault("no-session", "expanded", Notice::AtOnce, "does not carry a session"),
    fault("hang-migration", "preflight", Notice::AtDeadline(3), "it took longer than 3 s"),
];

/// What shows when it serves.
const SERVING: [Fault; 5] = [
    // Before it has said that it serves, or after.
    fault("crash-in-trial", "trial", Notice::AtOnce, "signal 6 ended it"),
    fault("crash-under-load", "trial", Notice::AtOnce, "died while it served: signal 6 ended it"),
    fault("hang-in-trial", "trial", Notice::AtOnce, "hangs: it answers nothing"),
    fault("lose-agents", "trial", Notice::AtDeadline(20), "0 of 2 clients are back"),
    fault("eat-memory", "trial", Notice::AtOnce, "MiB of memory"),
];

fn finish(story: &mut Story, rows: &[PutBack]) -> sluis_e2e::live::Noticed {
    let (noticed, written) = story.end().expect("nobody lost anything");
    println!("{}{noticed}", table(rows, 0));
    println!("written         {written} times meanwhile, all of it there");
    noticed
}

// req: UPD-09
#[test]
fn a_site_that_fails_beside_the_old_one_is_noticed_by_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut story = Story::begin(folder.path(), LIMITS, "").expect("an appliance at work");
    let mut rows: Vec<PutBack> =
        BESIDE.iter().map(|fault| story.put_back(fault).expect("put back")).collect();
    rows.push(migrations_fail(&mut story));
    rows.push(no_migration(&mut story));
    let crash = &BESIDE[0];
    the_pages_say_so(&story, crash);
    // Insisted on, it is tried once more, and fails once more.
    story.insist("1.2.0").expect("offered again");
    story.insist_on_page("1.3.0").expect("offered again");
    rows.push(story.install_bad("1.2.0", crash).expect("put back once more"));
    let noticed = finish(&mut story, &rows);
    assert_eq!(noticed.http.failed, 0, "{:?}", noticed.http.failures);
    assert_eq!(noticed.refused, Vec::<String>::new());
}

/// A migration that fails has expanded the database already, and the old version works on.
fn migrations_fail(story: &mut Story) -> PutBack {
    let reason = "the last step of the migration failed";
    let mut fault = fault("fail-migration", "preflight", Notice::AtOnce, reason);
    fault.schema = 2;
    story.put_back(&fault).expect("put back")
}

/// The real site in a package that asks for what it cannot do.
fn no_migration(story: &mut Story) -> PutBack {
    let version = story.publish(99, &[]).expect("published");
    let fault =
        fault("unknown-schema", "preflight", Notice::AtOnce, "cannot be expanded to level 99");
    story.install_bad(&version, &fault).expect("put back")
}

fn the_pages_say_so(story: &Story, fault: &Fault) {
    let updates = story.page("/appliance/updates").expect("a page");
    assert!(updates.contains(fault.reason), "{updates}");
    assert!(updates.contains("This version failed here and was put back"), "{updates}");
    let log = story.page("/appliance/updates/log").expect("a page");
    assert!(log.contains(fault.reason), "{log}");
}

// req: UPD-09
#[test]
fn a_site_that_fails_while_it_serves_loses_no_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut story = Story::begin(folder.path(), LIMITS, "").expect("an appliance at work");
    let mut rows: Vec<PutBack> =
        SERVING.iter().map(|fault| story.put_back(fault).expect("put back")).collect();
    let reason = "did not stay up after it had passed its trial: signal 6 ended it";
    let late = fault("crash-after-commit", "contracted", Notice::AtOnce, reason);
    rows.push(story.put_back_after_commit(&late).expect("put back"));
    let noticed = finish(&mut story, &rows);
    // A generation that dies takes the requests along that it was just answering; the others wait.
    let deaths = 6;
    assert!(noticed.http.failed <= 2 * deaths, "{:?}", noticed.http);
    assert_eq!(noticed.refused, Vec::<String>::new());
}

// req: UPD-09
#[test]
fn a_site_that_eats_the_disk_is_put_back_before_it_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_disk) = Disk::mount(folder.path(), 1250) else {
        println!("No disk of its own could be mounted here: it needs root");
        return;
    };
    let mut story = Story::begin(folder.path(), LIMITS, "").expect("an appliance at work");
    let eaten = fault("eat-disk", "trial", Notice::AtOnce, "ate the disk: only");
    let rows = [story.put_back(&eaten).expect("put back")];
    let noticed = finish(&mut story, &rows);
    assert_eq!(noticed.refused, Vec::<String>::new());
}

/// A file system of its own, in memory.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &Path, mib: u32) -> Option<Self> {
        let size = format!("size={mib}m");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(at);
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The processes of a failed test may still use it.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
