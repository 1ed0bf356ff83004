//! What depends on the operating system.

#[cfg(unix)]
pub use unix::{RawTerminal, Signals, host_name, is_terminal, read_secret, resizes, terminal_size};
#[cfg(not(unix))]
pub use windows::{
    RawTerminal, Signals, host_name, is_terminal, read_secret, resizes, terminal_size,
};

#[cfg(unix)]
mod unix {
    use std::io::{self, BufRead, IsTerminal, Write};

    use rustix::termios::{self, LocalModes, OptionalActions, Termios};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The name of this machine.
    pub fn host_name() -> Option<String> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        (!name.is_empty()).then_some(name)
    }

    /// Whether input and output are a person's terminal.
    pub fn is_terminal() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Columns and rows of the terminal.
    pub fn terminal_size() -> Option<(u16, u16)> {
        let size = termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }

    /// Tells when the terminal's size changes.
    pub fn resizes() -> io::Result<Resizes> {
        signal(SignalKind::window_change()).map(Resizes)
    }

    /// Changes of the terminal's size.
    pub struct Resizes(Signal);

    impl Resizes {
        /// Waits for the next one.
        pub async fn next(&mut self) {
            self.0.recv().await;
        }
    }

    /// Signals by which a person or a program ends a command.
    pub struct Signals([(Signal, u8); 3]);

    impl Signals {
        /// From now on they do not end this program.
        pub fn new() -> io::Result<Self> {
            let [interrupt, quit, terminate] = [2, 3, 15];
            Ok(Self([
                (signal(SignalKind::interrupt())?, interrupt),
                (signal(SignalKind::quit())?, quit),
                (signal(SignalKind::terminate())?, terminate),
            ]))
        }

        /// Waits for the next one; its number.
        pub async fn next(&mut self) -> u8 {
            let [(interrupt, a), (quit, b), (terminate, c)] = &mut self.0;
            tokio::select! {
                _ = interrupt.recv() => *a,
                _ = quit.recv() => *b,
                _ = terminate.recv() => *c,
            }
        }
    }

    /// The terminal in raw mode; as it was when dropped.
    pub struct RawTerminal(Termios);

    impl RawTerminal {
        /// Switches to raw mode, if there is a terminal.
        pub fn enter() -> Option<Self> {
            let before = termios::tcgetattr(io::stdin()).ok()?;
            let mut raw = before.clone();
            raw.make_raw();
            termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
            Some(Self(before))
        }
    }

    impl Drop for RawTerminal {
        fn drop(&mut self) {
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        }
    }

    /// Reads a line without showing it.
    pub fn read_secret(prompt: &str) -> io::Result<String> {
        eprint!("{prompt}");
        io::stderr().flush()?;
        let before = termios::tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &silent);
        }
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        if let Some(before) = &before {
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
            eprintln!();
        }
        read?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(not(unix))]
mod windows {
    use std::io::{self, BufRead, IsTerminal, Write};

    /// The name of this machine.
    pub fn host_name() -> Option<String> {
        std::env::var("COMPUTERNAME").ok().filter(|name| !name.is_empty())
    }

    /// Whether input and output are a person's terminal.
    pub fn is_terminal() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Columns and rows of the terminal; not known on this system yet.
    pub fn terminal_size() -> Option<(u16, u16)> {
        None
    }

    /// The key by which a person ends a command.
    pub struct Signals;

    impl Signals {
        /// From now on it does not end this program.
        pub fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one; the number that other systems have for it.
        pub async fn next(&mut self) -> u8 {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            2
        }
    }

    /// Changes of the terminal's size; none are told on this system yet.
    pub struct Resizes;

    impl Resizes {
        /// Waits for the next one.
        pub async fn next(&mut self) {
            std::future::pending().await
        }
    }

    /// Tells when the terminal's size changes.
    pub fn resizes() -> io::Result<Resizes> {
        Ok(Resizes)
    }

    /// The terminal in raw mode; not to be had on this system yet.
    pub struct RawTerminal;

    impl RawTerminal {
        /// Switches to raw mode, if there is a terminal.
        pub fn enter() -> Option<Self> {
            None
        }
    }

    /// Reads a line; this system shows it.
    pub fn read_secret(prompt: &str) -> io::Result<String> {
        eprint!("{prompt}");
        io::stderr().flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
