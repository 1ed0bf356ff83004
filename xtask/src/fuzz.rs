//! Runs libFuzzer on one decoder of `tests/fuzz`.

use anyhow::{Context, Result, bail};

use crate::command::Step;
use crate::needs::Purpose;
use crate::setup;
use crate::workspace::Workspace;

/// Looks for so many seconds; a finding is an error, and its input lies in `fuzz/artifacts`.
pub fn run(workspace: &Workspace, decoder: &str, seconds: u32) -> Result<()> {
    let home = workspace.root.join("tests/fuzz");
    if !home.join(format!("fuzz/fuzz_targets/{decoder}.rs")).is_file() {
        bail!("There is no decoder `{decoder}`; tests/fuzz/src/lib.rs lists them all");
    }
    setup::run(workspace, &[Purpose::Build, Purpose::Fuzz])?;
    let working = home.join("fuzz/corpus");
    let working = working.to_str().context("the workspace's path is no UTF-8")?;
    let args = ["run", "--locked", "--quiet", "--package", "sluis-fuzz", "--bin", "seeds", "--"];
    Step::cargo(workspace, &args).args(&[working]).run()?;
    // The same versions of everything as in the workspace; cargo adds libFuzzer to them.
    std::fs::copy(workspace.root.join("Cargo.lock"), home.join("fuzz/Cargo.lock"))
        .context("Cargo.lock cannot be copied to tests/fuzz/fuzz")?;
    let target = workspace.target.join("fuzz");
    let target = target.to_str().context("the target folder's path is no UTF-8")?;
    let args = ["fuzz", "run", "--target-dir", target, decoder];
    let corpora = [format!("{working}/{decoder}"), format!("corpus/{decoder}")];
    let limits =
        [format!("-max_total_time={seconds}"), "-timeout=10".into(), "-max_len=65536".into()];
    Step::cargo(workspace, &args)
        .within("tests/fuzz")
        // Sanitizers are switched on by flags that a stable compiler keeps behind this.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(&corpora)
        .args(&["--"])
        .args(&limits)
        .run()
}
