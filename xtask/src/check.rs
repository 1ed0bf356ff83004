//! The checks that need no test run.

use anyhow::{Result, bail};

use crate::command::{Step, Steps};
use crate::needs::{Purpose, WINDOWS};
use crate::workspace::Workspace;
use crate::{deps, layers, setup};

/// All of them, the quick ones first.
pub fn run(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.time("format", || Step::cargo(workspace, &["fmt", "--all", "--check"]).run())?;
    steps.time("layers", || layers(workspace))?;
    steps.time("dependencies", || deps(workspace))?;
    steps.time("set-up", || setup::run(workspace, &[Purpose::Build, Purpose::Check]))?;
    steps.time("clippy", || {
        let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        Step::cargo(workspace, &args).run()
    })?;
    steps.time("windows", || windows(workspace))
}

/// What `ARCHITECTURE.md` says about layers, and its code map.
pub fn layers(workspace: &Workspace) -> Result<()> {
    let architecture = std::fs::read_to_string(workspace.root.join("ARCHITECTURE.md"))?;
    let found = layers::problems(&workspace.members, &architecture);
    verdict("layers", &format!("{} crates", workspace.members.len()), &found)
}

/// What `deny.toml` says about crates from outside.
pub fn deps(workspace: &Workspace) -> Result<()> {
    verdict("dependencies", "deny.toml holds", &deps::problems(workspace)?)
}

fn verdict(what: &str, good: &str, found: &[String]) -> Result<()> {
    if found.is_empty() {
        println!("{what}: {good}, all well");
        return Ok(());
    }
    for problem in found {
        eprintln!("{what}: {problem}");
    }
    bail!("{} problem(s) with {what}; each says above what to do", found.len())
}

/// Agent and console must compile where their users are.
fn windows(workspace: &Workspace) -> Result<()> {
    if !setup::has_target(workspace, WINDOWS)? {
        println!("left out: the compiler's target {WINDOWS} is not to be had on this machine");
        return Ok(());
    }
    let packages = ["--package", "sluis-agent", "--package", "sluis-console"];
    Step::cargo(workspace, &["check", "--locked", "--target", WINDOWS]).args(&packages).run()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths that a `clippy.toml` bans.
    fn bans(workspace: &Workspace, file: &str) -> BTreeSet<String> {
        let text = std::fs::read_to_string(workspace.root.join(file)).expect("the file is there");
        let table: toml::Table = text.parse().expect("the file is TOML");
        let lists = ["disallowed-methods", "disallowed-types", "disallowed-macros"];
        let entries = lists.iter().filter_map(|list| table.get(*list)?.as_array()).flatten();
        entries.map(|entry| entry["path"].as_str().expect("a path").to_owned()).collect()
    }

    /// Clippy reads the nearest file only: what `core`'s does not repeat does not hold there.
    #[test]
    fn core_bans_everything_that_the_root_bans() {
        let workspace = Workspace::read().expect("cargo metadata");
        let root = bans(&workspace, "clippy.toml");
        let core = bans(&workspace, "core/clippy.toml");
        let open: Vec<&String> =
            root.difference(&core).filter(|path| !path.starts_with("tokio::")).collect();
        assert_eq!(open, Vec::<&String>::new(), "core/clippy.toml must repeat these");
        assert!(core.contains("std::time::Instant") && core.contains("std::fs::read"));
    }
}
