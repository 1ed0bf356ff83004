//! Sessions go on while the site changes under them.

use std::time::Duration;

use sluis_e2e::load::{self, percentile};
use sluis_e2e::rig::Rig;

#[test]
fn sessions_survive_a_hand_over_and_the_death_of_a_generation() {
    let mut rig = Rig::new().expect("a rig");
    let old = rig.package("1.0.0", 1, 1).expect("a package");
    let new = rig.package("1.1.0", 2, 2).expect("a package");
    rig.migrate(&old).expect("a database");
    let first = rig.start(&old).expect("the first generation");
    rig.control(first, "POST", "activate").expect("it accepts");
    let ada = rig.operator("ada").expect("an operator");
    let token = rig.enrolment_token().expect("a token");
    for name in ["web-1", "web-2"] {
        rig.agent(name, &token).expect("an agent");
    }
    rig.wait_agents(first, 2, Duration::from_secs(30)).expect("both agents connect");

    let mut sessions: Vec<_> = (0..6)
        .map(|i| load::tick(&ada, ["web-1", "web-2"][i % 2], 600, 10).expect("a session"))
        .collect();
    let mut typing = load::typing(&ada, "web-1").expect("a session");
    for session in &mut sessions {
        session.wait_running().expect("the first line");
    }
    typing.type_line().expect("an echo");

    let second = rig.hand_over(first, &new).expect("the new generation takes over");
    typing.type_line().expect("an echo during the hand-over");
    rig.wait_drained(first, Duration::from_secs(20)).expect("everything moved");
    typing.type_line().expect("an echo after the hand-over");

    rig.kill(second).expect("killed");
    let third = rig.start(&new).expect("the third generation");
    rig.control(third, "POST", "activate").expect("it accepts");
    typing.type_line().expect("an echo after the death of a generation");

    let mut delays = Vec::new();
    for session in sessions {
        delays.extend(session.finish().expect("no line missing or doubled").delays_us);
    }
    assert_eq!(typing.finish().expect("ended"), 4);
    println!(
        "delays of {} lines: p50 {} µs, p99 {} µs, worst {} µs",
        delays.len(),
        percentile(&mut delays, 50.0),
        percentile(&mut delays, 99.0),
        percentile(&mut delays, 100.0)
    );
}
