//! What a process reads and writes, as async streams over its descriptors.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Shared, State};
use crate::process::{Kind, READ_LIMIT};

/// What a process writes.
///
/// Ends with zero bytes read when the last process that holds the other end has closed it.
#[derive(Debug)]
pub struct Output {
    pub(super) fd: Shared,
}

impl Output {
    /// Appends what is there, waiting for the first byte, and says how much it was; 0 is the end.
    ///
    /// Takes all that the kernel has, up to `limit`, in as many calls as that needs: a terminal gives
    /// out 4 KiB at a time. Cancelling it between two polls loses nothing.
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        loop {
            let mut guard = self.fd.readable().await?;
            match drain(guard.get_inner(), buffer, limit) {
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
}

impl Output {
    /// Appends what is there now without waiting, and says how much it was; 0 when there is nothing.
    ///
    /// For the end of a session on a terminal: jobs that a shell left behind hold the terminal open, so its
    /// output ends when the shell has ended and nothing is left to read, not at an end of file.
    pub fn read_now(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        match drain(self.fd.get_ref(), buffer, limit) {
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
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
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
    pub(super) state: Arc<State>,
}

impl Input {
    /// Ends the input: a command on pipes reads an end of file once it has read the rest.
    ///
    /// A terminal stays open, because its input and output are one; there a person types Ctrl-D.
    pub fn close(&mut self) {
        if self.state.kind == Kind::Pipes {
            *self.state.input() = None;
        }
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(fd) = self.state.input().clone() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            let mut guard = ready!(fd.poll_write_ready(context))?;
            match guard.try_io(|fd| write(fd.get_ref(), bytes)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
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

fn write(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::write(fd, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Err(io::ErrorKind::BrokenPipe.into()),
            other => return Ok(other?),
        }
    }
}
