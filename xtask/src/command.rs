//! Running other programs, and how long that took.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// One command line, printed before it runs.
pub struct Step {
    command: Command,
}

impl Step {
    /// A program in the workspace's root folder.
    pub fn new(workspace: &Workspace, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.current_dir(&workspace.root).args(args).env("PATH", path(workspace));
        Self { command }
    }

    /// Cargo itself; the one that runs this program.
    pub fn cargo(workspace: &Workspace, args: &[&str]) -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Self::new(workspace, &cargo, args)
    }

    /// Runs it in a folder of the workspace instead.
    pub fn within(mut self, folder: &str) -> Self {
        let root = self.command.get_current_dir().unwrap_or(Path::new("."));
        let folder = root.join(folder);
        self.command.current_dir(folder);
        self
    }

    pub fn args<S: AsRef<str>>(mut self, args: &[S]) -> Self {
        self.command.args(args.iter().map(AsRef::as_ref));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub fn envs(mut self, envs: impl IntoIterator<Item = (&'static str, PathBuf)>) -> Self {
        self.command.envs(envs);
        self
    }

    /// Runs it with this program's own output; an exit status other than 0 is an error.
    pub fn run(mut self) -> Result<()> {
        let line = self.line();
        println!("$ {line}");
        let status =
            self.command.status().with_context(|| format!("`{line}` cannot be started"))?;
        if !status.success() {
            bail!("`{line}` failed: {status}");
        }
        Ok(())
    }

    /// Runs it in silence and gives what it printed; an exit status other than 0 is an error that
    /// carries what it complained of.
    pub fn output(mut self) -> Result<String> {
        let line = self.line();
        let output =
            self.command.output().with_context(|| format!("`{line}` cannot be started"))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("`{line}` failed: {}\n{}", output.status, complaint.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
    }

    fn line(&self) -> String {
        let program = self.command.get_program().to_string_lossy();
        let program = if program.ends_with("/cargo") { "cargo".into() } else { program };
        let args = self.command.get_args().map(|arg| arg.to_string_lossy());
        std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
    }
}

/// The search path, with the tools that set-up put below the target folder.
fn path(workspace: &Workspace) -> OsString {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&usual).chain([workspace.tools().join("bin")]);
    std::env::join_paths(dirs).unwrap_or(usual)
}

/// The parts of a long run with their minutes.
#[derive(Default)]
pub struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Runs a part under a headline and remembers how long it took.
    pub fn time<T>(&mut self, name: &'static str, part: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n── {name}");
        let begin = Instant::now();
        let result = part().with_context(|| format!("The part “{name}” failed"))?;
        self.done.push((name, begin.elapsed()));
        Ok(result)
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        for (name, took) in self.done.iter().copied().chain([("together", total)]) {
            writeln!(f, "{name:<14} {:>6.1} min", took.as_secs_f64() / 60.0)?;
        }
        Ok(())
    }
}
