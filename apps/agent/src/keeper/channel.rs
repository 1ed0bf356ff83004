//! What the keeper and the serving process say to each other, and the socket it goes over.
//!
//! A pair of `SOCK_SEQPACKET` sockets: each message is one packet of JSON, descriptors travel beside it.
//! The keeper of one version speaks with serving processes of other versions, so fields are only
//! added, and what is not known is ignored.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use model::{SessionOutcome, Version};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use super::ledger::Failure;

/// Descriptors in one packet; the system takes 253.
pub const FDS_MAX: usize = 64;

/// Bytes of the longest packet.
const PACKET_MAX: usize = 64 * 1024;

/// From the serving process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToKeeper {
    /// First after its start and after every exec.
    Hello {
        /// Its version.
        version: Version,
        /// Its revision.
        revision: u32,
    },
    /// It is alive.
    Beat,
    /// It reached the site and passed its self-test.
    Proven,
    /// It failed its own self-test.
    Unfit {
        /// What does not work.
        reason: String,
    },
    /// The packet carries descriptors of sessions, to be kept in this order.
    Hold,
    /// It wants to become this version, which lies in the other slot; the packet carries the memory file
    /// with the state of its sessions.
    Begin {
        /// The version.
        version: Version,
        /// The revision.
        revision: u32,
        /// SHA-256 of the program in hexadecimal digits.
        sha256: String,
    },
    /// It could not and goes on as it was.
    Abort {
        /// Why.
        reason: String,
    },
    /// This program may be tried again.
    Forget {
        /// Its SHA-256 in hexadecimal digits.
        sha256: String,
    },
    /// The site knows of the failure.
    Told,
    /// What `sluis-agent status` shall show.
    Status(ServeStatus),
    /// Something that a later version says.
    #[serde(other)]
    Unknown,
}

/// How the serving process stands, for `sluis-agent status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServeStatus {
    /// Whether there is a link to the site now.
    pub connected: bool,
    /// Sessions that run.
    pub sessions: u32,
    /// In words: `connected to site.example:443`, or why not.
    pub text: String,
}

/// From the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToServe {
    /// The answer to a hello.
    Welcome {
        /// How often to say that it is alive, in milliseconds.
        beat_ms: u64,
    },
    /// The answer to `Begin`: exec now.
    Go,
    /// The answer to `Begin`: not this one.
    Refuse {
        /// Why.
        reason: String,
    },
    /// The version is the current one; sessions that were inherited may run.
    Committed,
    /// A version failed here, and the site does not know yet.
    Failed(Failure),
    /// A process of an inherited session ended.
    Exited {
        /// Which.
        pid: u32,
        /// How.
        outcome: SessionOutcome,
    },
    /// Check in with the site now.
    CheckIn,
    /// End.
    Stop,
    /// Something that a later version says.
    #[serde(other)]
    Unknown,
}

/// One end of the pair.
#[derive(Debug, Clone)]
pub struct Channel {
    fd: Arc<AsyncFd<OwnedFd>>,
}

impl Channel {
    /// Our end and the end for the child, both closed on exec.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let (ours, theirs) = pair?;
        Ok((Self::new(ours)?, theirs))
    }

    /// The end that is this descriptor.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self { fd: Arc::new(crate::os::register(fd)?) })
    }

    /// The descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }

    /// Sends one message with at most [`FDS_MAX`] descriptors.
    pub async fn send<M: Serialize>(&self, message: &M, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        loop {
            let mut guard = self.fd.writable().await?;
            match guard.try_io(|fd| send(fd.get_ref(), &bytes, fds)) {
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Sends if that is possible at once; for messages of which the next one makes up for a lost one.
    pub fn try_send<M: Serialize>(&self, message: &M) -> io::Result<()> {
        send(self.fd.get_ref(), &serde_json::to_vec(message)?, &[])
    }

    /// The next message and its descriptors; `None` when the other end is gone.
    pub async fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        loop {
            let mut guard = self.fd.readable().await?;
            let Ok(result) = guard.try_io(|fd| receive(fd.get_ref())) else { continue };
            let (bytes, fds) = result?;
            if bytes.is_empty() {
                return Ok(None);
            }
            return Ok(Some((serde_json::from_slice(&bytes)?, fds)));
        }
    }
}

fn send(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors at once"));
    }
    loop {
        let sent =
            rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
        match sent {
            Err(Errno::INTR) => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
}

fn receive(socket: &OwnedFd) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(socket, &mut parts, &mut control, flags) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => break 0,
            other => break other?.bytes,
        }
    };
    bytes.truncate(received);
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok((bytes, fds))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[tokio::test]
    async fn messages_and_descriptors_arrive_together_and_the_end_is_seen() {
        let (ours, theirs) = Channel::pair().expect("a pair");
        let theirs = Channel::new(theirs).expect("the other end");
        let mut file = crate::os::memory_file("test").expect("a file");
        file.write_all(b"carried").expect("written");
        let fds = vec![file.as_fd(); FDS_MAX];
        theirs.send(&ToKeeper::Hold, &fds).await.expect("sent");
        theirs.send(&serde_json::json!({"say": "later", "x": 1}), &[]).await.expect("sent");
        let (message, fds) = ours.receive::<ToKeeper>().await.expect("received").expect("open");
        assert_eq!((message, fds.len()), (ToKeeper::Hold, FDS_MAX));
        let mut copy = std::fs::File::from(fds.into_iter().next().expect("one"));
        let mut text = String::new();
        copy.rewind().expect("rewound");
        copy.read_to_string(&mut text).expect("read");
        assert_eq!(text, "carried");
        let later = ours.receive::<ToKeeper>().await.expect("received").expect("open");
        assert_eq!(later.0, ToKeeper::Unknown);
        drop(theirs);
        assert!(ours.receive::<ToKeeper>().await.expect("the end").is_none());
    }
}
