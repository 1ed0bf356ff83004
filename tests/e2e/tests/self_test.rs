//! A generation proves itself with a synthetic session before it accepts anybody.

use sluis_e2e::rig::Rig;

#[test]
fn the_synthetic_session_passes_before_and_while_the_site_serves() {
    let mut rig = Rig::new().expect("a rig");
    let package = rig.package("1.0.0", 1, 1).expect("a package");
    rig.migrate(&package).expect("a database");
    let generation = rig.start(&package).expect("a generation");
    for phase in ["standby", "active"] {
        let status = rig.control(generation, "GET", "status").expect("a status");
        assert_eq!(status["phase"], phase);
        let health = rig.control(generation, "GET", "health").expect("healthy");
        assert_eq!(health["ok"], true, "{health}");
        let tested = rig.control(generation, "POST", "selftest").expect("passes");
        assert_eq!(tested["ok"], true, "{tested}");
        rig.control(generation, "POST", "activate").expect("accepts");
    }
    let status = rig.control(generation, "GET", "status").expect("a status");
    assert_eq!(status["agents_connected"], 0, "the self-test does not count: {status}");
}
