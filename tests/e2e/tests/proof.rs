//! The whole proof: many sessions at work while base, site and agents change under them, and the site
//! goes back.

use std::time::Duration;

use sluis_e2e::appliance::{Appliance, Outcome};
use sluis_e2e::bins::client_program;
use sluis_e2e::live::{Live, Scale, check_recordings};
use sluis_e2e::vendor::{Release, Vendor};

const CLIENTS: [&str; 4] = ["web-1", "web-2", "db-1", "mail-1"];

/// `SLUIS_PROOF_SESSIONS` sets how many sessions there are; a quarter of them is typed into.
fn scale() -> Scale {
    let wanted = std::env::var("SLUIS_PROOF_SESSIONS").ok().and_then(|text| text.parse().ok());
    let sessions: usize = wanted.unwrap_or(40);
    Scale { ticking: sessions - sessions / 4, typing: sessions / 4 }
}

fn release(version: &'static str, revision: u32, schema: u32) -> Release<'static> {
    Release { version, revision, schema, notes: "", site_requires: None, more: &["--level", "1"] }
}

fn assert_committed(outcome: &Outcome) {
    assert_eq!(outcome.phase, "contracted", "{}", outcome.text);
}

// req: UPD-03, UPD-05, UPD-07, UPD-10, CLI-03
#[test]
fn nobody_notices_that_base_site_and_agents_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vendor = Vendor::new(&folder.path().join("vendor")).expect("keys and a repository");
    vendor.publish(&release("1.0.0", 1, 1)).expect("published");
    vendor.serve().expect("an update server");
    let path = folder.path().join("harbour");
    let mut appliance = Appliance::with_site(&path, &vendor).expect("an appliance with a site");
    let token = appliance.site_sign_in().expect("signed in to the site");
    for name in CLIENTS {
        appliance.agent(name, &token, &client_program("sluis-agent")).expect("an agent");
    }
    let limit = Duration::from_mins(1);
    appliance.wait_clients(&token, CLIENTS.len(), None, limit).expect("all agents are online");
    let console = appliance.console("ada").expect("a console");
    vendor.publish(&release("1.1.0", 2, 2)).expect("published");

    let mut live = Live::start(&appliance, &console, &CLIENTS, scale()).expect("sessions");
    // What the machine does by itself, to compare with.
    std::thread::sleep(Duration::from_secs(3));
    live.mark("the base is updated");
    assert_committed(&appliance.install("base", "1.1.0").expect("the base"));
    live.mark("the site is updated");
    assert_committed(&appliance.install("site", "1.1.0").expect("the site"));
    live.mark("the agents are updated");
    appliance
        .wait_clients(&token, CLIENTS.len(), Some("1.1.0"), Duration::from_mins(3))
        .expect("the agents follow");
    live.mark("the site goes back");
    assert_committed(&appliance.roll_back("site").expect("the way back"));
    live.mark("and all is over");
    std::thread::sleep(Duration::from_secs(3));
    let noticed = live.finish().expect("nobody missed anything");
    println!("{noticed}");

    let recordings =
        check_recordings(&appliance, Duration::from_secs(30)).expect("whole recordings");
    let wanted = noticed.sessions + usize::try_from(noticed.opened).expect("not that many");
    assert!(recordings >= wanted, "{recordings} recordings of {wanted} sessions");
    println!("recordings      {recordings} checked from end to end, each in one piece");
}
