//! The anchor: stock OpenSSH on loopback.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// An sshd of our own, with keys of our own.
pub struct Ssh {
    folder: TempDir,
    port: u16,
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
        let daemon = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("config"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sshd (openssh-server) is needed for the anchor")?;
        let ssh = Self { folder, port, daemon };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ssh.command(&[]).arg("true").status()?.success() {
            ensure!(Instant::now() < deadline, "sshd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(ssh)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ssh host`, to be followed by a command.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command
            .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", self.path("known").display()))
            .arg("-i")
            .arg(self.path("user"))
            .args(options)
            .args(["-p", &self.port.to_string(), "root@127.0.0.1"])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
