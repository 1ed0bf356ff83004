//! Every page and every sample of it, as it goes to the browser.

#[path = "../../kit/tests/golden/mod.rs"]
mod golden;

use std::path::Path;

use sluis_ui_update::Overview;
use ui_kit::{Frame, Page, Samples, Variant};

#[test]
fn every_page_looks_as_agreed() {
    let frame = Frame::bare(Variant::Update, "updates.example.com");
    let pages: Vec<(String, String)> = Overview::samples()
        .into_iter()
        .map(|(sample, body)| (format!("overview.{sample}"), Page::new(&frame, &body).html()))
        .collect();
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), &pages);
}
