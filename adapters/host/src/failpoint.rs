use std::io;

/// A named place where a test may kill the process or make the operation fail.
///
/// Compiled only with the feature `failpoints`; otherwise it is nothing.
/// `SLUIS_FAILPOINTS=name=kill,other=error` arms it.
/// With `SLUIS_FAILPOINTS_ONCE=DIR` each fires once: it leaves a file with its name in `DIR`.
#[cfg(feature = "failpoints")]
pub fn failpoint(name: &str) -> io::Result<()> {
    let Ok(armed) = std::env::var("SLUIS_FAILPOINTS") else { return Ok(()) };
    let action = armed
        .split(',')
        .filter_map(|entry| entry.split_once('='))
        .find(|(armed, _)| *armed == name)
        .map(|(_, action)| action.to_owned());
    let Some(action) = action else { return Ok(()) };
    if let Some(dir) = std::env::var_os("SLUIS_FAILPOINTS_ONCE") {
        let mark = std::path::Path::new(&dir).join(name);
        if std::fs::OpenOptions::new().write(true).create_new(true).open(mark).is_err() {
            return Ok(());
        }
    }
    if action == "kill" {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    Err(io::Error::other(format!("failpoint {name}")))
}

/// Without the feature `failpoints`: nothing.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn failpoint(_name: &str) -> io::Result<()> {
    Ok(())
}
