//! What a process reads and writes, as async streams over its descriptors.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::{Shared, State};
use crate::process::{Kind, READ_LIMIT};

/// How soon a process is looked at again that the kernel has no memory to watch.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a process writes.
///
/// Ends with zero bytes read when the last process that holds the other end has closed it.
#[derive(Debug)]
pub struct Output {
    fd: Shared,
    /// Who hears when there is something; nobody until a read has found nothing.
    watch: Option<AsyncFd<Shared>>,
}

impl Output {
    pub(super) const fn of(fd: Shared) -> Self {
        Self { fd, watch: None }
    }

    /// Appends what is there, waiting for the first byte, and says how much it was; 0 is the end.
    ///
    /// Takes all that the kernel has, up to `limit`, in as many calls as that needs: a terminal gives
    /// out 4 KiB at a time. Cancelling it between two polls loses nothing.
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        loop {
            let Some(watch) = &self.watch else {
                match drain(&self.fd, buffer, limit) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        if self.look_out().is_err() {
                            tokio::time::sleep(LOOK_AGAIN).await;
                        }
                    }
                    drained => return drained.map(|drained| drained.bytes),
                }
                continue;
            };
            let mut guard = watch.readable().await?;
            match drain(&self.fd, buffer, limit) {
                Ok(drained) => {
                    // Said now, so that nobody asks once more before what came is on its way.
                    if drained.dry {
                        guard.clear_ready();
                    }
                    return Ok(drained.bytes);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(e) => return Err(e),
            }
        }
    }

    /// Until the next read, what the process writes wakes nobody here. For a reader that comes back in a
    /// moment by itself: it would be woken for every line, and read none of them.
    pub fn look_away(&mut self) {
        self.watch = None;
    }

    fn look_out(&mut self) -> io::Result<()> {
        self.watch = Some(watch(self.fd.clone(), Interest::READABLE)?);
        Ok(())
    }
}

impl Output {
    /// Appends what is there now without waiting, and says how much it was; 0 when there is nothing.
    ///
    /// For the end of a session on a terminal: jobs that a shell left behind hold the terminal open, so its
    /// output ends when the shell has ended and nothing is left to read, not at an end of file.
    pub fn read_now(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        match drain(&self.fd, buffer, limit) {
            Ok(drained) => Ok(drained.bytes),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(e) => Err(e),
        }
    }
}

/// What was read.
struct Drained {
    bytes: usize,
    /// The kernel had no more to give.
    dry: bool,
}

/// Reads until the kernel has no more; `WouldBlock` only when there was nothing at all.
fn drain(fd: &OwnedFd, buffer: &mut BytesMut, limit: usize) -> io::Result<Drained> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = limit.clamp(1, scratch.len());
        let drained = fill(fd, &mut scratch[..room])?;
        buffer.extend_from_slice(&scratch[..drained.bytes]);
        Ok(drained)
    })
}

fn fill(fd: &OwnedFd, room: &mut [u8]) -> io::Result<Drained> {
    let mut bytes = 0;
    while bytes < room.len() {
        match read(fd, &mut room[bytes..]) {
            Ok(0) => break,
            Ok(count) => bytes += count,
            Err(e) if bytes > 0 => {
                return Ok(Drained { bytes, dry: e.kind() == io::ErrorKind::WouldBlock });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(Drained { bytes, dry: false })
}

thread_local! {
    /// Where reads land first: what is kept of a keystroke's echo is as long as the echo.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_LIMIT].into_boxed_slice());
}

/// One read; a terminal whose other side is closed says `EIO`, which is its end.
fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(fd, &mut *buffer) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Ok(0),
            Err(e) => return Err(e.into()),
        }
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_none() {
            self.look_out()?;
        }
        loop {
            let Some(watch) = &self.watch else { return Poll::Pending };
            let mut guard = ready!(watch.poll_read_ready(context))?;
            match guard.try_io(|fd| read(fd.get_ref(), buffer.initialize_unfilled())) {
                Ok(result) => return Poll::Ready(result.map(|count| buffer.advance(count))),
                Err(_would_block) => {}
            }
        }
    }
}

/// What a process reads.
#[derive(Debug)]
pub struct Input {
    state: Arc<State>,
    /// Who hears when it takes more. Only while it is full: a terminal would else wake us each time its
    /// process reads.
    full: Option<AsyncFd<Shared>>,
}

impl Input {
    pub(super) const fn of(state: Arc<State>) -> Self {
        Self { state, full: None }
    }

    /// Ends the input: a command on pipes reads an end of file once it has read the rest.
    ///
    /// A terminal stays open, because its input and output are one; there a person types Ctrl-D.
    pub fn close(&mut self) {
        if self.state.kind == Kind::Pipes {
            *self.state.input() = None;
            self.full = None;
        }
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(fd) = self.state.input().clone() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            match write(&fd, bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.full = None;
                    return Poll::Ready(written);
                }
            }
            if self.full.is_none() {
                self.full = watch(fd.clone(), Interest::WRITABLE).ok();
            }
            let Some(full) = &self.full else {
                // The kernel had no memory to tell us: looked at again after everybody else's turn.
                context.waker().wake_by_ref();
                return Poll::Pending;
            };
            ready!(full.poll_write_ready(context))?.clear_ready();
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

fn watch(fd: Shared, interest: Interest) -> io::Result<AsyncFd<Shared>> {
    // SAFETY: the descriptor stays open as long as the `AsyncFd` holds its share of it: nothing takes it out
    // of there or closes it otherwise.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(Into::into)
}

fn write(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::write(fd, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Err(io::ErrorKind::BrokenPipe.into()),
            other => return Ok(other?),
        }
    }
}
