//! Writes every decoder's good bytes as files, for a fuzzer to begin with:
//! `cargo run -p sluis-fuzz --bin seeds -- DIR` makes `DIR/<decoder>/seed-<n>`.

use std::path::Path;
use std::process::ExitCode;

use sluis_fuzz::DECODERS;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("seeds: name the folder to write to");
        return ExitCode::FAILURE;
    };
    match write_all(Path::new(&dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seeds: {} cannot be written to: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn write_all(dir: &Path) -> std::io::Result<()> {
    for decoder in DECODERS {
        let dir = dir.join(decoder.name);
        std::fs::create_dir_all(&dir)?;
        for (i, seed) in (decoder.seeds)().iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{i}")), seed)?;
        }
    }
    Ok(())
}
