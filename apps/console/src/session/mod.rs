//! A session at the operator's end: opened once, resumed as often as it takes.

mod acks;
mod input;
mod leg;
mod state;

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ::session::{ChosenId, Exit, Message, OpenSession, Opened, RefusedCode};
use anyhow::anyhow;
use link::{Current, Reader, Writer, newer_link};
use model::SessionId;
use tokio::sync::watch;

use crate::connect::{self, Connection};
use crate::exit::{FAILED, Problem};
use crate::os;
use crate::profile::Profile;
use state::State;

/// How long opening a session is tried again while the site hands over.
/// Longer than a version of the site that fails its trial serves.
const OPEN_PATIENCE: Duration = Duration::from_mins(1);

/// A break that lasts longer is said on the screen.
pub const QUIET: Duration = Duration::from_secs(2);

/// Opens a session, runs it to its end, and answers with its exit status.
pub async fn run(
    profile: &Profile,
    target: &str,
    command: Option<String>,
    terminal: bool,
) -> Result<ExitCode, Problem> {
    let connection = connect::connect(profile).await?;
    let on_terminal = terminal && os::is_terminal();
    let (columns, rows) = os::terminal_size().unwrap_or((80, 24));
    let ask = OpenSession {
        target: target.to_owned(),
        command,
        columns,
        rows,
        term: std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned()),
        terminal,
        session: Some(ChosenId(SessionId(uuid::Uuid::now_v7()))),
    };
    let (opened, reader, writer, link) = tokio::select! {
        opened = open(&connection, ask) => opened?,
        never = say_that_it_waits() => match never {},
    };
    let raw = if on_terminal { os::RawTerminal::enter() } else { None };
    let state = Arc::new(State::new(opened));
    input::start(state.clone(), on_terminal);
    let exit = leg::keep(state, connection.newest.clone(), (reader, writer, link)).await;
    drop(raw);
    status(target, exit?)
}

/// The command line that a shell gets, as ssh joins it.
pub fn command_line(words: &[String]) -> String {
    words.join(" ")
}

/// Says what the screen is empty for when opening takes long.
async fn say_that_it_waits() -> Infallible {
    tokio::time::sleep(QUIET).await;
    say("the site has not opened the session yet; still trying …");
    std::future::pending().await
}

/// A line of our own between the session's; carriage returns because the terminal may be raw.
fn say(text: &str) {
    eprint!("\r\n[sluis: {text}]\r\n");
}

async fn open(
    connection: &Connection,
    ask: OpenSession,
) -> Result<(Opened, Reader, Writer, u64), Problem> {
    let mut newest = connection.newest.clone();
    let deadline = tokio::time::Instant::now() + OPEN_PATIENCE;
    let mut after = 0;
    loop {
        let link = tokio::time::timeout_at(deadline, newer_link(&mut newest, after)).await;
        let Ok(Some(current)) = link else {
            let text =
                "the site went away while the session was being opened; it may have been opened";
            return Err(Problem::new(text, "look at `sluis sessions`, then try again"));
        };
        match open_on(&current, &ask).await {
            Ok((opened, reader, writer)) => return Ok((opened, reader, writer, current.number)),
            Err(Refusal::Elsewhere) => after = wait_to_move(&newest, current.number).await,
            Err(Refusal::Broken) => after = current.number - 1,
            Err(Refusal::Final(problem)) => return Err(problem),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A generation that drains asks every client to move; until then its link is the newest.
async fn wait_to_move(newest: &watch::Receiver<Option<Current>>, number: u64) -> u64 {
    let mut newest = newest.clone();
    let moved = newest.wait_for(|current| current.as_ref().is_none_or(|c| c.number > number));
    let _ = tokio::time::timeout(Duration::from_secs(5), moved).await;
    number
}

enum Refusal {
    Elsewhere,
    Broken,
    Final(Problem),
}

async fn open_on(
    current: &Current,
    ask: &OpenSession,
) -> Result<(Opened, Reader, Writer), Refusal> {
    let stream = current.handle.open().map_err(|_| Refusal::Broken)?;
    let (mut reader, writer) = stream.split();
    writer.message(ask.clone()).await.map_err(|_| Refusal::Broken)?;
    match reader.message().await {
        Ok(Message::Opened(opened)) => Ok((opened, reader, writer)),
        Ok(Message::Refused(refused)) => Err(match refused.reason() {
            RefusedCode::Moved => Refusal::Elsewhere,
            RefusedCode::SignIn => {
                Refusal::Final(Problem::new(refused.text, "run `sluis login` again"))
            }
            RefusedCode::UnknownTarget => {
                Refusal::Final(Problem { text: refused.text, remedy: None })
            }
            _ => Refusal::Final(Problem { text: refused.text, remedy: None }),
        }),
        Ok(other) => Err(Refusal::Final(anyhow!("the site gave an odd answer: {other:?}").into())),
        Err(_) => Err(Refusal::Broken),
    }
}

fn status(target: &str, exit: Exit) -> Result<ExitCode, Problem> {
    match exit {
        Exit { reason: Some(reason), .. } => Err(Problem {
            text: format!("the session on “{target}” ended: {reason}"),
            remedy: None,
        }),
        Exit { status: Some(status), .. } => Ok(ExitCode::from(status)),
        Exit { signal: Some(signal), .. } => Ok(ExitCode::from(128_u8.saturating_add(signal))),
        Exit { .. } => Ok(ExitCode::from(FAILED)),
    }
}
