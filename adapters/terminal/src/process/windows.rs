//! Windows: single commands on pipes; a terminal is refused with a clear error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use model::SessionOutcome;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::{
    Command, Description, Handle, Kind, Process, ProcessError, Run, Size, Waiting, check_term,
};

impl Process {
    /// Starts a command on pipes; a terminal is not supported here yet.
    pub fn start(command: &Command) -> Result<Self, ProcessError> {
        if let Some(terminal) = &command.terminal {
            check_term(&terminal.term)?;
            return Err(ProcessError::NotSupported("a terminal"));
        }
        let mut child = prepare(command)?;
        let program = child.as_std().get_program().to_string_lossy().into_owned();
        let dir = command.dir.as_ref().map_or_else(|| ".".into(), |d| d.display().to_string());
        let mut child =
            child.spawn().map_err(|source| ProcessError::Start { program, dir, source })?;
        let lost = || ProcessError::Attach { what: "pipe", source: io::ErrorKind::Other.into() };
        let input = child.stdin.take().ok_or_else(lost)?;
        let output = child.stdout.take().ok_or_else(lost)?;
        let errors = child.stderr.take().ok_or_else(lost)?;
        let (kill, killed) = mpsc::channel(1);
        let ended = Arc::new(AtomicBool::new(false));
        let pid = child.id().unwrap_or_default();
        Ok(Self {
            input: Input { pipe: Some(input) },
            output: Output { pipe: Pipe::Output(output) },
            errors: Some(Output { pipe: Pipe::Errors(errors) }),
            control: Control { pid, kill, ended: ended.clone() },
            exit: ExitWatch { child, killed, ended, outcome: None },
        })
    }
}

impl Process {
    /// Sessions are not handed over here yet.
    pub fn from_inherited(
        _: &Description,
        _: Vec<Handle>,
        _: Waiting,
    ) -> Result<Self, ProcessError> {
        Err(ProcessError::NotSupported("taking a session over"))
    }
}

fn prepare(command: &Command) -> Result<tokio::process::Command, ProcessError> {
    let mut child = match &command.run {
        Run::Shell => return Err(ProcessError::NotSupported("a shell")),
        Run::Line(line) => {
            let shell = std::env::var_os("ComSpec").unwrap_or_else(|| "cmd.exe".into());
            let mut child = tokio::process::Command::new(shell);
            child.arg("/D").arg("/C").raw_arg(line);
            child
        }
        Run::Program(words) => {
            let (program, arguments) = words.split_first().ok_or(ProcessError::Empty)?;
            let mut child = tokio::process::Command::new(program);
            child.args(arguments);
            child
        }
    };
    let piped = std::process::Stdio::piped;
    child.stdin(piped()).stdout(piped()).stderr(piped());
    child.envs(command.env.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = &command.dir {
        child.current_dir(dir);
    }
    Ok(child)
}

/// What a process writes.
#[derive(Debug)]
pub struct Output {
    pipe: Pipe,
}

#[derive(Debug)]
enum Pipe {
    Output(ChildStdout),
    Errors(ChildStderr),
}

impl Output {
    /// Appends what is there, waiting for the first byte, and says how much it was; 0 is the end.
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        buffer.reserve(limit);
        let mut limited = self.take(limit as u64);
        limited.read_buf(buffer).await
    }

    /// Nothing: here a read is under way all the time.
    pub const fn look_away(&mut self) {}

    /// Nothing: pipes end with an end of file, so nobody has to ask what is left.
    pub fn read_now(&mut self, _: &mut BytesMut, _: usize) -> io::Result<usize> {
        Ok(0)
    }
}

impl AsyncRead for Output {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().pipe {
            Pipe::Output(pipe) => Pin::new(pipe).poll_read(context, buffer),
            Pipe::Errors(pipe) => Pin::new(pipe).poll_read(context, buffer),
        }
    }
}

/// What a process reads.
#[derive(Debug)]
pub struct Input {
    pipe: Option<ChildStdin>,
}

impl Input {
    /// Ends the input: the command reads an end of file once it has read the rest.
    pub fn close(&mut self) {
        self.pipe = None;
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// Ends a process; may be cloned.
#[derive(Debug, Clone)]
pub struct Control {
    pid: u32,
    kill: mpsc::Sender<()>,
    ended: Arc<AtomicBool>,
}

impl Control {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// There is no terminal to resize here.
    pub fn resize(&self, _: Size) -> io::Result<()> {
        Ok(())
    }

    /// Whether the process is known to have ended.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Does nothing: this system has no signals.
    pub fn send_signal(&self, _number: u8) {}

    /// What the next program image would have to know.
    pub fn describe(&self) -> Description {
        Description { pid: self.pid, kind: Kind::Pipes, streams: Vec::new() }
    }

    /// Sessions are not handed over here yet.
    pub fn duplicate(&self) -> io::Result<Vec<Handle>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends the process: this system has no hang-up.
    pub fn hang_up(&self) {
        self.kill();
    }

    /// Ends the process at once; needs someone in [`ExitWatch::wait`].
    pub fn kill(&self) {
        // Full: it is being killed already.
        let _ = self.kill.try_send(());
    }

    /// Ends the process.
    pub async fn end(&self, _: Duration) {
        self.kill();
    }
}

/// Tells how a process ended.
#[derive(Debug)]
pub struct ExitWatch {
    child: Child,
    killed: mpsc::Receiver<()>,
    ended: Arc<AtomicBool>,
    outcome: Option<SessionOutcome>,
}

impl ExitWatch {
    /// Waits for the end and says how it was; may be called again and then answers at once.
    pub async fn wait(&mut self) -> SessionOutcome {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status,
                Some(()) = self.killed.recv() => { let _ = self.child.start_kill(); }
            }
        };
        let outcome = match status.map(|status| status.code()) {
            Ok(Some(code)) => SessionOutcome::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
            Ok(None) | Err(_) => {
                SessionOutcome::Failed("the command ended while nobody could see how".to_owned())
            }
        };
        self.ended.store(true, Ordering::Release);
        self.outcome = Some(outcome.clone());
        outcome
    }
}
