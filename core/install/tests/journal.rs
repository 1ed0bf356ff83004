//! The journal's records: torn at every byte, damaged at every byte.

mod common;

use common::{NOON, at, good_update};
use model::PackageKind;
use proptest::prelude::*;
use sluis_core_install::{Install, Record, read, write};

/// A journal of one good update, and where each record ends.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (vec![], vec![0]);
    let mut install = common::Machine::Idle;
    for (n, event) in good_update(PackageKind::Site).into_iter().enumerate() {
        install = install.on(event, &at(NOON)).expect("the story has no refused events").next;
        let record = Record { n: n as u64 + 1, at: NOON, install: install.saved(), plan: None };
        bytes.extend(write(&record).expect("a record is JSON"));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn a_journal_cut_at_any_byte_yields_the_last_whole_record() {
    // req: UPD-08
    let (bytes, ends) = journal();
    for length in 0..=bytes.len() {
        let whole = ends.iter().rposition(|end| *end <= length).expect("zero is there");
        let read = read(&bytes[..length]).expect("a torn end is no damage");
        assert_eq!(read.count, whole as u64, "cut at {length}");
        assert_eq!(read.good, ends[whole]);
        assert_eq!(read.last.map_or(0, |record| record.n), whole as u64);
    }
}

#[test]
fn damage_before_the_last_record_fails_closed() {
    // req: UPD-08
    let (bytes, ends) = journal();
    let last = ends[ends.len() - 2];
    for offset in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 0x20;
        match read(&damaged) {
            Err(_) => assert!(offset < last),
            // Without the line feed between them the last two records are one torn one.
            Ok(read) if offset + 1 == last => assert_eq!(read.good, ends[ends.len() - 3]),
            Ok(read) => assert_eq!(read.good, last, "damage at {offset} went unseen"),
        }
    }
}

#[test]
fn a_missing_record_is_damage() {
    let (bytes, ends) = journal();
    let without = [&bytes[..ends[3]], &bytes[ends[4]..]].concat();
    let error = read(&without).expect_err("the numbers leave one out");
    assert!(error.to_string().contains("a record before it is missing"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn rubbish_after_whole_records_without_a_line_feed_is_dropped(
        tail in proptest::collection::vec(any::<u8>().prop_filter("no line feed", |b| *b != b'\n'), 0..200)
    ) {
        let (bytes, _) = journal();
        let read = read(&[&bytes[..], &tail].concat()).expect("a torn end is no damage");
        prop_assert_eq!(read.good, bytes.len());
        let contracted = matches!(read.last.expect("a record").install, Install::Contracted { .. });
        prop_assert!(contracted);
    }
}
