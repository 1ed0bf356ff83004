//! The anchor: stock OpenSSH on loopback.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// How `ssh` gets to its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// At once.
    Direct,
    /// Through a jump host (`-J`), as an operator comes to an endpoint through an appliance.
    Jump,
}

impl Way {
    /// All of them.
    pub const BOTH: [Self; 2] = [Self::Direct, Self::Jump];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "ssh",
            Self::Jump => "ssh -J",
        })
    }
}

/// An sshd of our own, with keys of our own.
pub struct Ssh {
    folder: TempDir,
    daemon: Child,
}

impl Ssh {
    /// Starts it.
    ///
    /// # Errors
    /// When OpenSSH is not installed or does not start.
    pub fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        for name in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.path().join(name))
                .status()
                .context("ssh-keygen (openssh-client) is needed for the anchor")?;
            ensure!(made.success(), "ssh-keygen failed");
        }
        fs::copy(folder.path().join("user.pub"), folder.path().join("authorized"))?;
        fs::create_dir_all("/run/sshd")
            .context("sshd needs /run/sshd; run the benchmark as root")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nMaxStartups 1000\n",
            path("host"),
            path("authorized")
        );
        fs::write(folder.path().join("config"), config)?;
        let client = format!(
            "Host jump target\nHostName 127.0.0.1\nPort {port}\nUser root\nIdentityFile {}\nUserKnownHostsFile {}\nStrictHostKeyChecking no\nLogLevel ERROR\n",
            path("user"),
            path("known")
        );
        fs::write(folder.path().join("client"), client)?;
        let daemon = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("config"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sshd (openssh-server) is needed for the anchor")?;
        let ssh = Self { folder, daemon };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ssh.command(Way::Direct, &[]).arg("true").status()?.success() {
            ensure!(Instant::now() < deadline, "sshd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(ssh)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ssh host`, to be followed by a command.
    pub fn command(&self, way: Way, options: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.path("client")).args(options);
        if way == Way::Jump {
            command.args(["-J", "jump"]);
        }
        command.arg("target").stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
