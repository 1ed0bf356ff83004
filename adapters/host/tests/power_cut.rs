//! The power goes at every change to the disk: journal, slots, pointers and ledger on the model of a disk.

mod common;

use std::path::Path;

use common::appliance::{Appliance, STORIES, Story, set_up};
use model::PackageKind;
use sluis_host::ModelFs;

const DATA: &str = "/data";

#[test]
fn whatever_the_power_cut_leaves_the_appliance_ends_on_a_whole_version() {
    // req: UPD-08
    let mut points = 0;
    for kind in [PackageKind::Base, PackageKind::Site] {
        for story in STORIES {
            let steps = uncut(kind, story);
            for cut in 0..steps {
                for seed in 0..6 {
                    cut_once(kind, story, cut, seed);
                    points += 1;
                }
            }
        }
    }
    println!("{points} power cuts survived");
    assert!(points >= 500);
}

fn disk(kind: PackageKind, story: Story) -> ModelFs {
    let fs = ModelFs::default();
    set_up(&fs, Path::new(DATA), kind, story);
    fs
}

fn start(fs: &ModelFs, kind: PackageKind, story: Story) -> Result<Appliance<ModelFs>, String> {
    Appliance::start(fs.clone(), Path::new(DATA), kind, story)
}

fn uncut(kind: PackageKind, story: Story) -> u64 {
    let fs = disk(kind, story);
    let before = fs.steps();
    let mut appliance = start(&fs, kind, story).expect("a start");
    appliance.run().expect("no power is cut");
    appliance.check();
    fs.steps() - before
}

fn cut_once(kind: PackageKind, story: Story, cut: u64, seed: u64) {
    let fs = disk(kind, story);
    fs.cut_after(cut);
    let ended = start(&fs, kind, story).and_then(|mut a| a.run());
    assert!(ended.is_err() && fs.is_cut(), "cut {cut} of {story:?} cut nothing: {ended:?}");
    // The power goes a second time while the first cut is being made good.
    let again = fs.restart(seed);
    again.cut_after(cut % 7);
    let _ = start(&again, kind, story).and_then(|mut a| a.run());
    let fs = again.restart(seed + 1);
    let mut appliance = start(&fs, kind, story)
        .unwrap_or_else(|error| panic!("{story:?} cut at {cut}, seed {seed}: {error}"));
    if let Err(error) = appliance.run() {
        panic!("{story:?} cut at {cut}, seed {seed}: {error}");
    }
    appliance.check();
}
