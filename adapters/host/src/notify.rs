//! The `NOTIFY_SOCKET` convention, both sides.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::Path;

use tokio::net::UnixDatagram;

/// What a process says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// It is ready.
    Ready,
    /// It says in words what it does.
    Status(String),
    /// It is going to end.
    Stopping,
    /// It gives up, and why.
    Failed(String),
    /// It is alive.
    Watchdog,
}

/// The receiving side.
#[derive(Debug)]
pub struct NotifySocket(UnixDatagram);

impl NotifySocket {
    /// Makes the socket at that path, in the place of one that was left there.
    pub fn bind(path: &Path) -> io::Result<OwnedFd> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(StdDatagram::bind(path)?.into())
    }

    /// Receives on a socket that was made before.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let socket = StdDatagram::from(fd);
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket).map(Self)
    }

    /// The next datagram's messages; unknown ones are left out.
    pub async fn next(&self) -> io::Result<Vec<Message>> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).await?;
        Ok(parse(&String::from_utf8_lossy(&buffer[..length])))
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse(text: &str) -> Vec<Message> {
    text.lines()
        .filter_map(|line| {
            Some(match line.split_once('=')? {
                ("READY", "1") => Message::Ready,
                ("STATUS", text) => Message::Status(text.to_owned()),
                ("STOPPING", "1") => Message::Stopping,
                ("FAILED", reason) => Message::Failed(reason.to_owned()),
                ("WATCHDOG", "1") => Message::Watchdog,
                _ => return None,
            })
        })
        .collect()
}

/// Says something to whoever started this process, if it wants to hear it.
pub fn notify(message: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    // Nobody listening is no reason to fail.
    let _ = StdDatagram::unbound().and_then(|socket| socket.send_to(message.as_bytes(), path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_lines_are_understood_and_others_left_out() {
        assert_eq!(
            parse("READY=1\nX_FUTURE=1\nSTATUS=a=b\nFAILED=no database\nrubbish\n"),
            [Message::Ready, Message::Status("a=b".into()), Message::Failed("no database".into())]
        );
    }
}
