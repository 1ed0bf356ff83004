//! All decoders, on every test run: bounded, and the same each time.

use std::path::{Path, PathBuf};

use sluis_fuzz::mutate::{Chance, bend, nasty};
use sluis_fuzz::{DECODERS, Decoder, Outcome};

/// Bent inputs per decoder; `SLUIS_FUZZ_RUNS` asks for more.
const RUNS: u64 = 3_000;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The corpus files of a decoder, sorted.
fn corpus(decoder: &Decoder) -> Vec<PathBuf> {
    let Ok(files) = here().join("corpus").join(decoder.name).read_dir() else { return vec![] };
    let mut files: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.sort();
    files
}

/// Runs a decoder; on a panic the input is in the message, ready to become a corpus file.
fn run(decoder: &Decoder, data: &[u8], what: &str) -> Outcome {
    std::panic::catch_unwind(|| (decoder.run)(data)).unwrap_or_else(|_| {
        let shown = data.escape_ascii().to_string();
        let shown = shown.get(..2_000).unwrap_or(&shown);
        panic!("{}: {what} ({} bytes): {shown}", decoder.name, data.len())
    })
}

#[test]
fn what_our_own_encoders_make_is_accepted() {
    for decoder in DECODERS {
        let seeds = (decoder.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", decoder.name);
        for (i, seed) in seeds.iter().enumerate() {
            assert_eq!(run(decoder, seed, "seed"), Outcome::Accepted, "{} seed {i}", decoder.name);
        }
    }
}

/// The name of a corpus file says what must come of it: `ok-…` is accepted, `bad-…` refused.
#[test]
fn every_corpus_file_comes_out_as_its_name_says() {
    let mut count = 0;
    for decoder in DECODERS {
        for file in corpus(decoder) {
            let data = std::fs::read(&file).expect("a readable file");
            let outcome = run(decoder, &data, "corpus");
            let name = file.file_name().and_then(|name| name.to_str()).expect("a plain name");
            match name.split_once('-').map(|(verdict, _)| verdict) {
                Some("ok") => assert_eq!(outcome, Outcome::Accepted, "{}", file.display()),
                Some("bad") => assert_eq!(outcome, Outcome::Refused, "{}", file.display()),
                _ => panic!("{} is named neither ok-… nor bad-…", file.display()),
            }
            count += 1;
        }
    }
    println!("{count} corpus files");
}

#[test]
fn every_corpus_folder_belongs_to_a_decoder() {
    for folder in here().join("corpus").read_dir().expect("a corpus") {
        let name = folder.expect("a readable folder").file_name();
        assert!(
            DECODERS.iter().any(|decoder| name == decoder.name),
            "{} has no decoder",
            name.display()
        );
    }
}

#[test]
fn every_decoder_has_its_fuzz_target() {
    let manifest = std::fs::read_to_string(here().join("fuzz/Cargo.toml")).expect("the fuzz crate");
    for Decoder { name, .. } in DECODERS {
        let target = here().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(&target).unwrap_or_default();
        assert!(
            text.contains(&format!("sluis_fuzz::{name}(data)")),
            "{} is missing",
            target.display()
        );
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} is not in fuzz/Cargo.toml"
        );
    }
}

// req: UPD-11
#[test]
fn nasty_bytes_are_refused_without_harm() {
    for decoder in DECODERS {
        for data in nasty() {
            run(decoder, &data, "nasty");
        }
    }
}

#[test]
fn bent_bytes_do_no_harm() {
    let runs =
        std::env::var("SLUIS_FUZZ_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    for decoder in DECODERS {
        let mut inputs = (decoder.seeds)();
        inputs.extend(
            corpus(decoder).iter().map(|file| std::fs::read(file).expect("a readable file")),
        );
        let mut chance = Chance::new(runs);
        let (mut accepted, begin) = (0_u64, std::time::Instant::now());
        for _ in 0..runs {
            let (mut data, other) =
                (inputs[chance.below(inputs.len())].clone(), &inputs[chance.below(inputs.len())]);
            bend(&mut data, other, &mut chance);
            accepted += u64::from(run(decoder, &data, "bent") == Outcome::Accepted);
        }
        let took = begin.elapsed();
        println!("{:<16} {runs} bent, {accepted} still accepted, {took:.1?}", decoder.name);
    }
}
