//! A serving process for the keeper's tests: one session, one plain TCP peer instead of a site.
//!
//! It behaves as the last bytes of its own file say, so that each copy is a version of its own:
//! `crash` ends at once, `hang` says nothing, `lost` lives and never reaches its peer, `late` crashes
//! before it has proven itself, anything else works. The peer sends lines: `open COMMAND`, `type TEXT`,
//! `upgrade PROGRAM`, `failure`, and first `from N`, the number of output bytes that it has.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use model::SessionOutcome;
use serde::{Deserialize, Serialize};
use sluis_agent::config::Config;
use sluis_agent::keeper::ledger::Ledger;
use sluis_agent::keeper::{Command, KeeperHandle, ServeStatus};
use sluis_agent::update::{exec, selftest, slots::Slots};
use terminal::process::READ_LIMIT;
use terminal::{Control, Description, ExitWatch, Input, Output, Process, Run, Size, Terminal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let data = PathBuf::from(arguments.get(3).expect("serve --data DIR"));
    let mode = mode().expect("its own file");
    match mode.as_str() {
        "crash" => std::process::abort(),
        "hang" => std::thread::sleep(Duration::from_hours(1)),
        _ => {}
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(serve(&data, &mode)).expect("served");
}

/// The last eight bytes of the program's file.
fn mode() -> io::Result<String> {
    let mut file = std::fs::File::open(std::env::current_exe()?)?;
    let mut tail = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut tail)?;
    Ok(String::from_utf8_lossy(&tail).trim().to_owned())
}

#[derive(Serialize, Deserialize)]
struct State {
    description: Option<Description>,
    output: Vec<u8>,
    outcome: Option<SessionOutcome>,
}

struct Session {
    input: Input,
    output: Output,
    control: Control,
    exit: ExitWatch,
}

impl From<Process> for Session {
    fn from(process: Process) -> Self {
        let Process { input, output, control, exit, .. } = process;
        Self { input, output, control, exit }
    }
}

async fn serve(data: &Path, mode: &str) -> anyhow::Result<()> {
    let keeper = KeeperHandle::connect(&sluis_agent::own_release()).await?;
    let inherited = exec::receive()?;
    let mut state = State { description: None, output: Vec::new(), outcome: None };
    let mut session = None;
    if let Some(inherited) = inherited {
        state = serde_json::from_slice(&inherited.state)?;
        if let Some(description) = &state.description {
            let waiting = keeper.waiting_for(description.pid);
            session = Some(Process::from_inherited(description, inherited.fds, waiting)?.into());
        }
    }
    match mode {
        "lost" => std::future::pending().await,
        "late" => std::process::abort(),
        _ => {}
    }
    let peer = reach(&Config::load(data)?.site).await;
    selftest::run().await.map_err(anyhow::Error::msg)?;
    keeper.proven().await;
    let text = "reached its peer".to_owned();
    keeper.set_status(ServeStatus { connected: true, sessions: 1, text }).await;
    let (reader, mut writer) = peer.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut sent = 0;
    if let Some(line) = lines.next_line().await? {
        sent = line.trim_start_matches("from ").parse()?;
    }
    loop {
        writer.write_all(&state.output[sent..]).await?;
        sent = state.output.len();
        if state.outcome.is_some() && session.is_some() {
            let text = format!("\nended {:?}\n", state.outcome);
            writer.write_all(text.as_bytes()).await?;
            session = None;
        }
        let line = tokio::select! {
            line = lines.next_line() => line?,
            ended = step(&mut session, &mut state) => { ended?; continue }
            command = keeper.command() => match command {
                Command::Stop => return Ok(()),
                Command::CheckIn => Some("checked-in".to_owned()),
            },
        };
        let Some(line) = line else { return Ok(()) };
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "open" => session = Some(open(rest)?),
            "type" => {
                if let Some(session) = &mut session {
                    session.input.write_all(format!("{rest}\n").as_bytes()).await?;
                }
            }
            "upgrade" => {
                let error =
                    upgrade(data, &keeper, Path::new(rest), &mut state, session.as_ref()).await;
                writer.write_all(format!("\nnot upgraded: {error:#}\n").as_bytes()).await?;
            }
            "failure" => {
                let mut failure = keeper.failure();
                let known = failure.wait_for(Option::is_some).await?.clone();
                let reason = known.map(|known| known.reason).unwrap_or_default();
                writer.write_all(format!("\nfailure {reason}\n").as_bytes()).await?;
                keeper.told().await;
            }
            other => writer.write_all(format!("\n{other}\n").as_bytes()).await?,
        }
    }
}

async fn reach(peer: &str) -> TcpStream {
    loop {
        if let Ok(mut stream) = TcpStream::connect(peer).await {
            // A peer that is there says so; one that only accepts is not reached.
            let mut hello = [0; 3];
            let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut hello).await;
            if read.is_ok() && &hello == b"hi\n" {
                return stream;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn open(command: &str) -> anyhow::Result<Session> {
    let command = terminal::Command {
        run: Run::Program(vec!["/bin/sh".into(), "-c".into(), command.into()]),
        terminal: Some(Terminal { term: "dumb".into(), size: Size::default() }),
        env: Vec::new(),
        dir: None,
    };
    Ok(Process::start(&command)?.into())
}

/// Output or the end of the session.
async fn step(session: &mut Option<Session>, state: &mut State) -> io::Result<()> {
    let Some(session) = session.as_mut() else { return std::future::pending().await };
    let mut buffer = BytesMut::new();
    tokio::select! {
        read = session.output.read_into(&mut buffer, READ_LIMIT) => {
            let ended = read? == 0;
            state.output.extend_from_slice(&buffer);
            if ended {
                state.outcome = Some(session.exit.wait().await);
            }
        }
        outcome = session.exit.wait() => {
            while session.output.read_now(&mut buffer, READ_LIMIT)? > 0 {}
            state.output.extend_from_slice(&buffer);
            state.outcome = Some(outcome);
        }
    }
    Ok(())
}

async fn upgrade(
    data: &Path,
    keeper: &KeeperHandle,
    program: &Path,
    state: &mut State,
    session: Option<&Session>,
) -> anyhow::Error {
    let mut attempt = async || -> anyhow::Result<std::convert::Infallible> {
        let slot = Ledger::load(data)?.current.other();
        let installed = Slots::new(data).install(slot, program, None)?;
        let control = session.map(|session| &session.control);
        state.description = control.map(Control::describe);
        let fds = control.map(Control::duplicate).transpose()?.unwrap_or_default();
        let bytes = serde_json::to_vec(state)?;
        Ok(exec::hand_over(keeper, data, slot, &installed, &bytes, fds).await?)
    };
    let Err(error) = attempt().await;
    error
}
