//! Inherited sockets and the word to whoever started us: systemd's conventions.

use std::env;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use anyhow::{Context, Result, bail};

const FIRST_FD: RawFd = 3;

/// Raises the number of descriptors that this process may have to what the system allows; answers it, none for
/// no limit.
///
/// A link takes one, and the usual limit to begin with is 1,024: fewer than an appliance has agents.
pub fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused only by unusual policies; then fewer clients fit.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

/// The sockets that were handed to this process under the name `https`.
///
/// # Errors
/// When the convention's variables contradict each other.
pub fn inherited() -> Result<Vec<TcpListener>> {
    let Ok(count) = env::var("LISTEN_FDS") else { return Ok(Vec::new()) };
    if let Ok(pid) = env::var("LISTEN_PID")
        && pid != std::process::id().to_string()
    {
        // Meant for another process: a child of the one that inherited them.
        return Ok(Vec::new());
    }
    let count: RawFd =
        count.parse().with_context(|| format!("LISTEN_FDS is “{count}”, not a number"))?;
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut listeners = Vec::new();
    for index in 0..count {
        let fd = FIRST_FD + index;
        // SAFETY: only asks whether it is open; it is not used when it is not.
        let is_open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(fd) }).is_ok();
        if !is_open {
            bail!(
                "LISTEN_FDS is {count}, but descriptor {fd} is not open; whoever started this passed none"
            );
        }
        // SAFETY: by the convention these descriptors are ours, open, and nobody else in this
        // process uses them; this runs once, before any thread starts.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        match names.get(index as usize).copied().unwrap_or("https") {
            "https" => listeners.push(TcpListener::from(fd)),
            name => tracing::warn!(name, "Inherited a socket that this version does not know"),
        }
    }
    if listeners.is_empty() {
        bail!("LISTEN_FDS is {count}, but no inherited socket has the name https");
    }
    for listener in &listeners {
        listener.set_nonblocking(true).context("an inherited socket is not usable")?;
    }
    Ok(listeners)
}

/// Tells whoever started us; does nothing when nobody listens.
pub fn notify(message: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(message.as_bytes(), &path));
    if let Err(error) = sent {
        tracing::warn!(%error, ?path, "Whoever started this process cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit, setrlimit};

    #[test]
    fn as_many_descriptors_are_had_as_the_system_allows() {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(256);
        setrlimit(Resource::Nofile, limit).expect("lowers it");
        assert_eq!(super::raise_descriptor_limit(), limit.maximum);
    }
}
