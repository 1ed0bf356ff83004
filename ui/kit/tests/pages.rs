//! The kit's own pages, and what its style sheet promises.

mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use sluis_ui_kit::account::{FirstPassword, PasswordChange, SignIn};
use sluis_ui_kit::{Body, Confirm, ErrorPage, Frame, Maintenance, Page, Samples, Variant, css};

fn pages<B: Body + Samples>(name: &str, variant: Variant) -> Vec<(String, String)> {
    let frame = Frame::bare(variant, "support.example.com");
    B::samples()
        .into_iter()
        .map(|(sample, body)| (format!("{name}.{sample}"), Page::new(&frame, &body).html()))
        .collect()
}

#[test]
fn every_page_looks_as_agreed() {
    let mut all = pages::<ErrorPage>("error", Variant::Site);
    all.extend(pages::<Maintenance>("maintenance", Variant::Appliance));
    all.extend(pages::<Confirm>("confirm", Variant::Site));
    all.extend(pages::<SignIn>("sign-in", Variant::Site));
    all.extend(pages::<PasswordChange>("password", Variant::Site));
    all.extend(pages::<FirstPassword>("first-password", Variant::Site));
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"), &all);
}

#[test]
fn a_maintenance_page_reloads_itself_with_and_without_javascript() {
    for (name, html) in pages::<Maintenance>("maintenance", Variant::Appliance) {
        let head = html.split("</head>").next().expect("a head");
        assert!(head.contains("<meta http-equiv=\"refresh\" content=\"5\">"), "{name}: {head}");
        assert!(!head.contains("<noscript>"), "{name}: {head}");
    }
}

#[test]
fn a_faulty_page_is_noticed() {
    let page = |body: &str| format!("<html><body><h1>x</h1>{body}</body></html>");
    for (body, fault) in [
        ("<p><b></p></b>", "closes what is not open"),
        ("<input name=\"a\" id=\"a\">", "no label"),
        ("<p id=\"a\"></p><p id=\"a\"></p>", "twice"),
        ("<form method=\"post\" action=\"/\"></form>", "no token"),
        ("<script>x</script>", "a script stands"),
        ("<h1>y</h1>", "2 headings"),
        ("<p style=\"color:red\"></p>", "the policy forbids"),
    ] {
        let faults = golden::faults(&page(body));
        assert!(faults.iter().any(|each| each.contains(fault)), "{body}: {faults:?}");
    }
    assert_eq!(golden::faults(&page("<p>fine</p>")), Vec::<String>::new());
}

/// The colours of a scheme by name, `--` left out.
fn colours(block: &str) -> BTreeMap<&str, [f64; 3]> {
    let channel = |hex: &str, at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("a colour")) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    block
        .split("--")
        .skip(1)
        .filter_map(|piece| piece.split_once(": #"))
        .map(|(name, hex)| (name, [channel(hex, 0), channel(hex, 2), channel(hex, 4)]))
        .collect()
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let light = |c: [f64; 3]| 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] + 0.05;
    let (a, b) = (light(a), light(b));
    if a > b { a / b } else { b / a }
}

#[test]
fn colours_keep_the_contrast_of_wcag_aa_in_both_schemes() {
    let (light, rest) =
        css().split_once("@media (prefers-color-scheme: dark)").expect("two schemes");
    let dark = rest.split("* {").next().expect("the dark scheme");
    let text = [
        ("ink", "ground"),
        ("ink", "sheet"),
        ("ink", "sunken"),
        ("quiet", "ground"),
        ("quiet", "sheet"),
        ("quiet", "sunken"),
        ("link", "ground"),
        ("link", "sheet"),
        ("accent", "sheet"),
        ("accent", "sunken"),
        ("on-accent", "accent"),
        ("on-accent", "accent-strong"),
        ("on-bar", "bar"),
        ("on-bar-quiet", "bar"),
        ("good", "good-ground"),
        ("good", "sheet"),
        ("busy", "busy-ground"),
        ("busy", "sheet"),
        ("warn", "warn-ground"),
        ("warn", "sheet"),
        ("bad", "bad-ground"),
        ("bad", "sheet"),
        ("bad", "sunken"),
    ];
    let shapes = [
        ("edge", "sheet"),
        ("edge", "ground"),
        ("edge", "sunken"),
        ("focus", "ground"),
        ("focus", "sheet"),
        ("accent", "sunken"),
    ];
    for scheme in [colours(light), colours(dark)] {
        for (pairs, least) in [(&text[..], 4.5), (&shapes[..], 3.0)] {
            for (front, back) in pairs {
                let ratio = contrast(scheme[front], scheme[back]);
                assert!(ratio >= least, "{front} on {back} has {ratio:.2}, less than {least}");
            }
        }
    }
}
