//! The base is killed at every step of the journal and before and after every effect, in updates, ways back and
//! self-updates. Each time it comes back by itself and ends on a whole version, with everything acknowledged on disk.

mod lab;

use lab::agents::Agents;
use lab::{Lab, packages};
use model::Release;

const STATES: [&str; 10] = [
    "planned",
    "fetching",
    "verified",
    "staged",
    "preflight",
    "expanded",
    "switching-over",
    "trial",
    "committed",
    "contracted",
];
const EFFECTS: [&str; 11] = [
    "confirm",
    "fetch",
    "unpack",
    "preflight",
    "expand",
    "prove",
    "switch-over",
    "watch",
    "point",
    "record-commit",
    "retire",
];
const WITHIN: [&str; 14] = [
    "journal-before-append",
    "journal-before-sync",
    "journal-after-append",
    "unpack-reserved",
    "unpack-before-sync",
    "unpack-before-rename",
    "unpack-after-rename",
    "generation-before-start",
    "generation-after-start",
    "switch-before-activate",
    "switch-after-activate",
    "point-between",
    "exec-before",
    "base-start",
];

/// What is under way when the base is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    SiteUpdate,
    SiteRollBack,
    SitePutBack,
    BaseUpdate,
    BaseRollBack,
}

/// Every point that the story may pass; the ones that it does not are told apart by their not firing.
fn points(story: Story) -> Vec<String> {
    let around = |prefix: &'static str, names: &[&str]| -> Vec<String> {
        let both =
            |name: &&str| [format!("{prefix}-before-{name}"), format!("{prefix}-after-{name}")];
        names.iter().flat_map(both).collect()
    };
    let (states, effects) = match story {
        Story::SiteUpdate | Story::BaseUpdate => (&STATES[..], &EFFECTS[..]),
        Story::SiteRollBack | Story::BaseRollBack => (&STATES[5..], &EFFECTS[5..]),
        Story::SitePutBack => {
            (&["trial", "rolling-back", "rolled-back"][..], &["watch", "revert", "pin"][..])
        }
    };
    let base = matches!(story, Story::BaseUpdate | Story::BaseRollBack);
    let update = matches!(story, Story::SiteUpdate | Story::BaseUpdate);
    let within = WITHIN.iter().filter(|point| match point.split('-').next() {
        Some("unpack") => update,
        Some("generation" | "switch") => !base,
        Some("exec") => base,
        _ => true,
    });
    [around("save", states), around("effect", effects), within.map(ToString::to_string).collect()]
        .concat()
}

/// One appliance goes through all points of one story, one after another.
async fn matrix(story: Story, part: usize, parts: usize) {
    // req: UPD-08
    let mut lab = Lab::serving().await;
    let (mut fired, mut minor) = (0, 0);
    prepare(&mut lab, story).await;
    for point in points(story).into_iter().skip(part).step_by(parts) {
        lab.stop();
        lab.arm(&point);
        lab.start();
        lab.until_generation().await;
        let agents = Agents::start(lab.address, 3);
        minor += 1;
        begin(&mut lab, story, minor).await;
        let end = lab.end().await;
        if !lab.fired() {
            // The story does not pass here; it ended as it does undisturbed.
            agents.stop(&lab.data()).await;
            continue;
        }
        fired += 1;
        check(&lab, story, &end, &point).await;
        let outcome = agents.stop(&lab.data()).await;
        assert!(outcome.lines > 0, "{point}: {outcome:?}");
    }
    println!("{story:?}, part {part}: killed at {fired} points");
    assert!(fired >= 10, "{story:?}: only {fired} points were passed");
}

/// Two versions there and back, for stories that go back.
async fn prepare(lab: &mut Lab, story: Story) {
    match story {
        Story::SiteRollBack => {
            let next = packages::site(Release::new(1, 0, 1, 1), "");
            assert_eq!(lab.install(&next).await, "contracted");
        }
        Story::BaseRollBack => {
            let next = packages::base(Release::new(1, 0, 1, 1), "");
            assert_eq!(lab.install(&next).await, "contracted");
        }
        _ => {}
    }
}

async fn begin(lab: &mut Lab, story: Story, n: u64) {
    let release = Release::new(1, 1, n, 1);
    match story {
        Story::SiteUpdate => lab.begin_install(&packages::site(release, "")).await,
        Story::SitePutBack => lab.begin_install(&packages::site(release, "sick-in-trial")).await,
        Story::BaseUpdate => lab.begin_install(&packages::base(release, "")).await,
        Story::SiteRollBack => lab.begin_roll_back("site").await,
        Story::BaseRollBack => lab.begin_roll_back("base").await,
    }
}

async fn check(lab: &Lab, story: Story, end: &str, point: &str) {
    let log = lab.story().await;
    let expected = if story == Story::SitePutBack { "rolled-back" } else { "contracted" };
    assert_eq!(end, expected, "{story:?} killed at {point}:\n{log}");
    lab.until_generation().await;
    let slots = host::Slots::new(host::RealFs, &lab.data());
    for kind in [model::PackageKind::Base, model::PackageKind::Site] {
        let current = slots.current(kind).expect("a disk").expect("a version");
        slots.check(current).unwrap_or_else(|error| panic!("{point}: {error}"));
    }
    // A kill before the first state was written down, or after the last one, interrupted nothing.
    let first = matches!(story, Story::SiteRollBack | Story::BaseRollBack)
        .then_some("save-before-expanded")
        .unwrap_or("save-before-planned");
    let nothing = [first, "save-after-contracted", "save-after-rolled-back", "base-start"];
    let any_state = point.starts_with("journal") || point.starts_with("effect-after-retire");
    let told = log.contains("The base was restarted")
        || nothing.contains(&point)
        || any_state
        || point.contains("-pin");
    assert!(told, "{story:?} killed at {point}: the log does not say so:\n{log}");
}

macro_rules! matrices {
    ($($name:ident: $story:expr, $part:expr, $parts:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            matrix($story, $part, $parts).await;
        }
    )*};
}

// In parts, so that they run beside each other and none takes long.
matrices! {
    killed_at_every_step_of_a_site_update: Story::SiteUpdate, 0, 2;
    killed_at_every_other_step_of_a_site_update: Story::SiteUpdate, 1, 2;
    killed_at_every_step_of_a_way_back_of_the_site: Story::SiteRollBack, 0, 1;
    killed_at_every_step_while_a_bad_site_is_put_back: Story::SitePutBack, 0, 1;
    killed_at_every_step_of_a_base_update: Story::BaseUpdate, 0, 2;
    killed_at_every_other_step_of_a_base_update: Story::BaseUpdate, 1, 2;
    killed_at_every_step_of_a_way_back_of_the_base: Story::BaseRollBack, 0, 1;
}
