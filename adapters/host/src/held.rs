//! Descriptors that a process hands to the program that it becomes.
//!
//! Unlike with `LISTEN_FDS` they stay where they are, so that a failed `execve` leaves everything as it was.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::FdFlags;

use crate::keep_over_exec;

/// More than any process here hands over.
const HELD_MAX: usize = 32;

/// Lets these descriptors live through the next `execve`; answers the text that the next program finds them by.
pub fn hold_over_exec(held: &[(&str, BorrowedFd<'_>)]) -> io::Result<OsString> {
    let mut parts = vec![];
    for (name, fd) in held {
        keep_over_exec(*fd, true)?;
        parts.push(format!("{name}={}", fd.as_raw_fd()));
    }
    Ok(parts.join(":").into())
}

/// Takes the descriptors that the program before left, by the text that it left. Call it once, before anything else
/// opens descriptors.
///
/// They are made close-on-exec again. A text that names no open descriptor is refused.
pub fn take_held(text: &str) -> io::Result<Vec<(String, OwnedFd)>> {
    let wrong = |what: &str| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("“{text}” is no list of descriptors: {what}"),
        )
    };
    let mut held = vec![];
    let mut numbers = vec![];
    for part in text.split(':').filter(|part| !part.is_empty()) {
        let (name, number) = part.split_once('=').ok_or_else(|| wrong("a name has no number"))?;
        let number: i32 = number.parse().map_err(|_| wrong("a number is none"))?;
        if number < 3 || numbers.contains(&number) || numbers.len() >= HELD_MAX {
            return Err(wrong("a number is out of place"));
        }
        numbers.push(number);
        // SAFETY: it is looked at here and not kept.
        let there = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_getfd(there)?;
        held.push((name.to_owned(), number));
    }
    held.into_iter()
        .map(|(name, number)| {
            // SAFETY: the program that was this process before left it open for us and named it, nothing here has
            // opened descriptors yet, and each number is taken once.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
            Ok((name, fd))
        })
        .collect()
}

/// Lets SIGTERM and SIGINT wait, or delivers those that waited: between two programs nobody would hear them.
pub fn hold_signals(hold: bool) -> io::Result<()> {
    let how = if hold { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    // SAFETY: `sigemptyset` initialises the set that it is given, and the other calls only read or change it; no old
    // mask is asked for.
    let failed = unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::pthread_sigmask(how, set.as_ptr(), std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, IntoRawFd};

    use super::*;

    #[test]
    fn what_is_held_is_found_again_and_nothing_else_is_taken() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        let text = hold_over_exec(&[("https", file.as_fd())]).expect("a descriptor");
        let text = text.to_str().expect("text").to_owned();
        // The program that follows finds it open and owned by nobody.
        let number = file.into_raw_fd();
        assert_eq!(text, format!("https={number}"));
        let held = take_held(&text).expect("the same");
        assert_eq!((held[0].0.as_str(), held[0].1.as_raw_fd()), ("https", number));
        drop(held);
        for bad in ["https", "https=x", "https=1", "a=9000", &text, "a=-1"] {
            assert!(take_held(bad).is_err(), "{bad}");
        }
        assert!(take_held("").expect("nothing").is_empty());
    }
}
