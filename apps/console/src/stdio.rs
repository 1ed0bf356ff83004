//! Standard input, output and error without a thread in between.
//!
//! A keystroke and its echo would each wait for another thread to wake up.
//! So a terminal or a pipe is opened a second time, without blocking: whoever shares the first
//! description (a shell, `less`) never finds it changed. A file is written at once; what is neither (a
//! socket, a terminal of another user) is read and written by a thread.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use direct::Direct;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Stderr, Stdin, Stdout};

/// Read at most at once.
const READ_MAX: usize = 32 * 1024;

/// What the operator types.
pub struct Input {
    from: Source,
    room: Vec<u8>,
}

enum Source {
    /// Read when it has something.
    Direct(Direct),
    /// Read by a thread.
    Thread(Stdin),
}

impl Input {
    /// Standard input.
    pub fn open() -> Self {
        let thread = || Source::Thread(tokio::io::stdin());
        let from = Direct::reading(0).map_or_else(thread, Source::Direct);
        Self { from, room: vec![0; READ_MAX] }
    }

    /// Waits for something; empty is the end.
    pub async fn read(&mut self) -> io::Result<Bytes> {
        let n = match &mut self.from {
            Source::Direct(input) => input.read(&mut self.room).await?,
            Source::Thread(input) => input.read(&mut self.room).await?,
        };
        Ok(Bytes::copy_from_slice(&self.room[..n]))
    }
}

/// What the operator sees.
pub struct Screen {
    output: Sink<Stdout>,
    errors: Sink<Stderr>,
}

enum Sink<T> {
    /// Written when it takes something.
    Direct(Direct),
    /// Written at once: a file, or nothing at all.
    File(File),
    /// Written by a thread.
    Thread(T),
}

impl<T: AsyncWrite + Unpin> Sink<T> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Direct(direct) => direct.write_all(bytes).await,
            Self::File(file) => file.write_all(bytes),
            Self::Thread(thread) => {
                thread.write_all(bytes).await?;
                thread.flush().await
            }
        }
    }
}

impl Screen {
    /// Standard output and standard error.
    pub fn open() -> Self {
        Self { output: sink(1, tokio::io::stdout), errors: sink(2, tokio::io::stderr) }
    }

    /// Shows output; everything is in the operating system's hands when this returns.
    pub async fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write(bytes).await
    }

    /// Shows what a command wrote to standard error.
    pub async fn error(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.errors.write(bytes).await
    }
}

fn sink<T>(number: u8, thread: impl FnOnce() -> T) -> Sink<T> {
    if let Some(direct) = Direct::writing(number) {
        return Sink::Direct(direct);
    }
    direct::file(number).map_or_else(|| Sink::Thread(thread()), Sink::File)
}

#[cfg(target_os = "linux")]
mod direct {
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::fs::{FileType, Mode, OFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// That descriptor if writing to it never waits for anybody: a file, or `/dev/null`. It shares its
    /// place in the file with whoever else writes there.
    pub fn file(number: u8) -> Option<File> {
        let kind = kind(number)?;
        if !kind.is_file() && !kind.is_char_device() {
            return None;
        }
        let copy = match number {
            1 => rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 0),
            _ => rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 0),
        };
        copy.ok().filter(|copy| !rustix::termios::isatty(copy)).map(File::from)
    }

    fn path(number: u8) -> String {
        format!("/proc/self/fd/{number}")
    }

    fn kind(number: u8) -> Option<FileType> {
        Some(FileType::from_raw_mode(rustix::fs::stat(path(number)).ok()?.st_mode))
    }

    /// A terminal or a pipe, opened a second time.
    pub struct Direct(AsyncFd<OwnedFd>);

    impl Direct {
        /// That descriptor for reading; none if it cannot be had so.
        pub fn reading(number: u8) -> Option<Self> {
            Self::open(number, OFlags::RDONLY, Interest::READABLE)
        }

        /// That descriptor for writing; none if it cannot be had so.
        pub fn writing(number: u8) -> Option<Self> {
            Self::open(number, OFlags::WRONLY, Interest::WRITABLE)
        }

        fn open(number: u8, access: OFlags, interest: Interest) -> Option<Self> {
            let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let kind = kind(number)?;
            // A file opened again would begin at its first byte.
            if !kind.is_fifo() && !kind.is_char_device() {
                return None;
            }
            let again = rustix::fs::open(path(number), flags, Mode::empty()).ok()?;
            // SAFETY: the descriptor stays in the `AsyncFd` until both are dropped together.
            unsafe { AsyncFd::register_with_interest(again, interest) }.ok().map(Self)
        }

        pub async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let read = |fd: &mut OwnedFd| rustix::io::read(fd, &mut *room).map_err(io::Error::from);
            self.0.async_io_mut(Interest::READABLE, read).await
        }

        pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
            while !bytes.is_empty() {
                let write =
                    |fd: &mut OwnedFd| rustix::io::write(fd, bytes).map_err(io::Error::from);
                let n = self.0.async_io_mut(Interest::WRITABLE, write).await?;
                bytes = &bytes[n..];
            }
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod direct {
    use std::fs::File;
    use std::io;

    /// Not to be had on this system.
    pub const fn file(_: u8) -> Option<File> {
        None
    }

    /// Not to be had on this system.
    pub enum Direct {}

    impl Direct {
        pub const fn reading(_: u8) -> Option<Self> {
            None
        }

        pub const fn writing(_: u8) -> Option<Self> {
            None
        }

        pub async fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            match *self {}
        }

        pub async fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
            match *self {}
        }
    }
}
