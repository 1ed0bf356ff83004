//! Whether this program can do on this machine what it is for.

use std::time::Duration;

use bytes::BytesMut;
use model::SessionOutcome;
use terminal::process::READ_LIMIT;
use terminal::{Command, Process, Run};

/// How long it may take; commands on a very busy machine take a while to start.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a command as a session would and checks what comes back; the error says what does not work.
///
/// Together with reaching the site this is what a new version must show before it is kept.
pub async fn run() -> Result<(), String> {
    let kinds: &[bool] = if cfg!(unix) { &[false, true] } else { &[false] };
    for on_terminal in kinds {
        let tested = tokio::time::timeout(LIMIT, echo(*on_terminal)).await;
        let tested = tested.unwrap_or_else(|_| Err("it does not end".to_owned()));
        let place = if *on_terminal { "a terminal" } else { "pipes" };
        tested.map_err(|reason| format!("a command on {place} does not work: {reason}"))?;
    }
    Ok(())
}

async fn echo(on_terminal: bool) -> Result<(), String> {
    let words = if cfg!(windows) { "cmd.exe /D /C echo sluis" } else { "/bin/echo sluis" };
    let command = Command {
        run: Run::Program(words.split(' ').map(str::to_owned).collect()),
        terminal: on_terminal.then(|| terminal::Terminal {
            term: "dumb".to_owned(),
            size: terminal::Size::default(),
        }),
        env: Vec::new(),
        dir: None,
    };
    let mut process = Process::start(&command).map_err(|e| crate::error_text(&e))?;
    let mut output = BytesMut::new();
    while process.output.read_into(&mut output, READ_LIMIT).await.map_err(|e| e.to_string())? > 0 {}
    let outcome = process.exit.wait().await;
    if outcome != SessionOutcome::Exited(0) {
        return Err(format!("it ended as {outcome:?}"));
    }
    match output.trim_ascii() {
        b"sluis" => Ok(()),
        other => Err(format!("it printed {:?}", String::from_utf8_lossy(other))),
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn this_machine_passes() {
        super::run().await.expect("passes");
    }
}
