//! Prints a numbered line every few milliseconds, with the moment at which it was written.
//!
//! The other half is `sluis_e2e::load`: it checks that no line is missing or doubled, and how late
//! each came. `sluis-ticker LINES MILLISECONDS`; with `--echo` it repeats what it reads instead.

use std::io::{BufRead, Write};
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--echo") {
        return echo();
    }
    let number =
        |i: usize, default: u64| arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (lines, pause) = (number(0, 100), Duration::from_millis(number(1, 10)));
    let mut out = std::io::stdout().lock();
    for line in 0..lines {
        writeln!(out, "{line} {}", sluis_e2e::clock::monotonic_us())?;
        out.flush()?;
        std::thread::sleep(pause);
    }
    Ok(())
}

fn echo() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", line?)?;
        out.flush()?;
    }
    Ok(())
}
