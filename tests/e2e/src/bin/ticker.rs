//! Prints a numbered line every few milliseconds, with the moment at which it was written.
//!
//! The other half is `sluis_e2e::load`: it checks that no line is missing or doubled, and how late
//! each came. `sluis-ticker MILLISECONDS LINES` prints so many; `sluis-ticker MILLISECONDS until FILE`
//! goes on until the file is there; either ends with `end LINES`. `sluis-ticker --echo` repeats what it
//! reads.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

enum Until {
    Lines(u64),
    File(PathBuf),
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--echo"] => echo(),
        [pause, "until", file] => tick(pause, &Until::File(file.into())),
        [pause, lines] => tick(pause, &Until::Lines(lines.parse().unwrap_or(0))),
        _ => {
            eprintln!(
                "usage: sluis-ticker MILLISECONDS (LINES | until FILE), or sluis-ticker --echo"
            );
            std::process::exit(2)
        }
    }
}

fn tick(pause: &str, until: &Until) -> std::io::Result<()> {
    let pause = Duration::from_millis(pause.parse().unwrap_or(10));
    let mut out = std::io::stdout().lock();
    let mut line = 0;
    loop {
        let done = match until {
            Until::Lines(lines) => line == *lines,
            // Looked for once in a while: the line is what matters.
            Until::File(file) => line % 20 == 0 && file.exists(),
        };
        if done {
            writeln!(out, "end {line}")?;
            return out.flush();
        }
        writeln!(out, "{line} {}", sluis_e2e::clock::monotonic_us())?;
        out.flush()?;
        line += 1;
        std::thread::sleep(pause);
    }
}

fn echo() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", line?)?;
        out.flush()?;
    }
    Ok(())
}
