//! Site generations without a base: this fixture holds the socket and starts them, as the base does.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use model::{Generation, PublicKey, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bins::{client_program, program};
use crate::control;

/// One site with the generations that run on its data.
pub struct Rig {
    folder: TempDir,
    listener: TcpListener,
    generations: Vec<(u64, Child)>,
    clients: Vec<Child>,
    next: u64,
}

impl Rig {
    /// Data, certificate and socket of a site; nothing runs yet.
    ///
    /// # Errors
    /// When the machine does not give what it takes.
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        for name in ["site", "run", "tls", "mirror"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        // As long as the base's: many clients come at once.
        rustix::net::listen(&listener, 4096)?;
        let rig = Self { folder, listener, generations: Vec::new(), clients: Vec::new(), next: 1 };
        rig.write_certificate()?;
        Ok(rig)
    }

    fn write_certificate(&self) -> Result<()> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let tls = self.path("tls");
        fs::write(tls.join("key.pem"), made.signing_key.serialize_pem())?;
        fs::write(tls.join("cert.pem"), made.cert.pem())?;
        Ok(())
    }

    /// A path below the rig's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where clients dial.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or_else(|_| ([127, 0, 0, 1], 0).into())
    }

    /// Writes a package of that version around the built site and answers its folder.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn package(&self, version: &str, revision: u32, schema: u32) -> Result<PathBuf> {
        let folder = self.path(&format!("package-{version}-{revision}"));
        fs::create_dir_all(folder.join("clients"))?;
        let parts: Vec<u64> = version.split('.').filter_map(|part| part.parse().ok()).collect();
        let [major, minor, patch] = parts[..] else { bail!("{version} has not three parts") };
        let seq = ((major * 1000 + minor) * 1000 + patch) * 1000 + u64::from(revision);
        let manifest = json!({
            "schema": 1, "kind": "site", "name": "site", "version": version, "revision": revision,
            "seq": seq, "arch": "x86_64", "requires": [], "conflicts": [], "floors": [],
            "restart": "handover", "wire": { "agent": [1, 1], "console": [1, 1], "peer": [1, 1] },
            "db": { "reads": [1, schema], "writes": schema }, "files": [], "size_installed": 0,
            "notes": "",
        });
        fs::write(folder.join("manifest.json"), manifest.to_string())?;
        Ok(folder)
    }

    fn site(&self, package: &Path, generation: u64) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("LISTEN_PID=$$ exec \"$0\" \"$@\"")
            .arg(program("sluis-site"))
            .env("SLUIS_GENERATION", generation.to_string())
            .env("SLUIS_DATA", self.path("site"))
            .env("SLUIS_RUN", self.path("run"))
            .env("SLUIS_TLS", self.path("tls"))
            .env("SLUIS_MIRROR", self.path("mirror"))
            .env("SLUIS_PACKAGE", package)
            .stdin(Stdio::null());
        command
    }

    /// Expands the schema to what the package writes.
    ///
    /// # Errors
    /// When the migration fails.
    pub fn migrate(&self, package: &Path) -> Result<()> {
        let status = self.site(package, 0).arg("migrate").stdout(Stdio::null()).status()?;
        ensure!(status.success(), "the migration failed: {status}");
        Ok(())
    }

    /// Starts a generation and waits until it is ready; it does not accept yet.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(&mut self, package: &Path) -> Result<u64> {
        let number = self.next;
        self.next += 1;
        let notify_path = self.path(&format!("run/notify-{number}.sock"));
        let notify = UnixDatagram::bind(&notify_path)?;
        notify.set_read_timeout(Some(Duration::from_secs(30)))?;
        let log = fs::File::create(self.path(&format!("generation-{number}.log")))?;
        let fd = self.listener.as_raw_fd();
        let mut command = self.site(package, number);
        command
            .arg("serve")
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "https")
            .env("NOTIFY_SOCKET", &notify_path);
        command.stderr(log);
        // SAFETY: between fork and exec only dup2 runs, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                let listener = rustix::fd::BorrowedFd::borrow_raw(fd);
                if fd == 3 {
                    // Copying a descriptor onto itself would leave it closed on exec.
                    rustix::io::fcntl_setfd(listener, rustix::io::FdFlags::empty())?;
                } else {
                    let mut third =
                        std::mem::ManuallyDrop::new(std::os::fd::FromRawFd::from_raw_fd(3));
                    rustix::io::dup2(listener, &mut third)?;
                }
                Ok(())
            });
        }
        let child = command.spawn().context("the site does not start")?;
        self.generations.push((number, child));
        let mut buffer = [0; 4096];
        let n = notify
            .recv(&mut buffer)
            .with_context(|| format!("generation {number} said nothing; {}", self.log(number)))?;
        let said = String::from_utf8_lossy(&buffer[..n]).into_owned();
        ensure!(said.contains("READY=1"), "generation {number} said {said}");
        Ok(number)
    }

    /// What a generation logged.
    pub fn log(&self, number: u64) -> String {
        fs::read_to_string(self.path(&format!("generation-{number}.log"))).unwrap_or_default()
    }

    /// Asks a generation something on its control socket.
    ///
    /// # Errors
    /// When it does not answer, or with an error.
    pub fn control(&self, number: u64, method: &str, path: &str) -> Result<Value> {
        let socket = self.path(&format!("run/site-{number}.sock"));
        let (status, body) = control::request(&socket, method, &format!("/control/{path}"), None)?;
        ensure!((200..300).contains(&status), "{path} of generation {number}: {status} {body}");
        Ok(body)
    }

    /// Hands over as the base does: start, health, self-test, activate the new, drain the old.
    ///
    /// # Errors
    /// When a step fails.
    pub fn hand_over(&mut self, old: u64, package: &Path) -> Result<u64> {
        self.migrate(package)?;
        let new = self.start(package)?;
        self.control(new, "GET", "health")?;
        self.control(new, "POST", "selftest")?;
        self.control(new, "POST", "activate")?;
        self.control(old, "POST", "drain")?;
        Ok(new)
    }

    /// Waits until a generation has neither sessions nor links.
    ///
    /// # Errors
    /// When it takes too long; the text says what it still has.
    pub fn wait_drained(&self, number: u64, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.control(number, "GET", "status")?;
            if status["phase"] == "drained" {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "generation {number} still has {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until that many agents are connected to a generation.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn wait_agents(&self, number: u64, agents: u64, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.control(number, "GET", "status")?;
            if status["agents_connected"].as_u64() >= Some(agents) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "generation {number} has only {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills a generation at once.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn kill(&mut self, number: u64) -> Result<()> {
        let index = self.generations.iter().position(|(n, _)| *n == number);
        let (_, mut child) = self.generations.remove(index.context("no such generation")?);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// The process of a generation, while it runs.
    pub fn pid(&self, number: u64) -> Option<u32> {
        let found = self.generations.iter().find(|(n, _)| *n == number);
        found.map(|(_, child)| child.id())
    }

    /// The site's identity, once a generation has run.
    ///
    /// # Errors
    /// When none has.
    pub fn identity(&self) -> Result<PublicKey> {
        Ok(link::load_or_create_key(&self.path("site/site.key"))?.public())
    }

    /// Registers an operator and a console key of theirs, as a sign-in does.
    ///
    /// # Errors
    /// When the database does not take them.
    pub fn operator(&self, name: &str) -> Result<Profile> {
        let home = self.path(&format!("console-{name}"));
        fs::create_dir_all(&home)?;
        let key = link::load_or_create_key(&home.join("console.key"))?.public();
        let site = format!(
            "address = \"{}\"\nkey = \"{}\"\nuser = \"{name}\"\n",
            self.address(),
            self.identity()?
        );
        fs::write(home.join("site.toml"), site)?;
        self.with_store(|store| async move {
            let now = now();
            let new = store::NewOperator {
                name: name.to_owned(),
                display_name: name.to_owned(),
                password_hash: "$argon2id$none".to_owned(),
                admin: true,
                must_change_password: false,
            };
            let operator = store.operators().create(new, now).await?;
            let expires = now.plus(Duration::from_hours(12));
            store.consoles().register(operator.id, &key, "test", expires, now).await?;
            Ok(())
        })?;
        Ok(Profile { home })
    }

    /// An enrolment token that any number of agents may use.
    ///
    /// # Errors
    /// When the database does not take it.
    pub fn enrolment_token(&self) -> Result<String> {
        let token = format!("test-{}", uuid::Uuid::now_v7());
        let hash = store::TokenHash::of(&token);
        self.with_store(|store| async move {
            let new = store::NewEnrolmentToken {
                token: hash,
                name: "test".to_owned(),
                group: "test".to_owned(),
                mode: store::AgentMode::Active,
                uses: 10_000,
                expires: now().plus(Duration::from_hours(12)),
            };
            store.enrolment_tokens().create(new, now()).await?;
            Ok(())
        })?;
        Ok(token)
    }

    fn with_store<F, T>(&self, work: impl FnOnce(store::Store) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = store::Store::open(&self.path("site/site.db"), 1, Generation(0)).await?;
            let done = work(store.clone()).await;
            store.close().await;
            done
        })
    }

    /// Stops the agents that run, as a service manager does.
    pub fn stop_clients(&mut self) {
        for child in &self.clients {
            let pid = rustix::process::Pid::from_child(child);
            // One that has ended already needs no signal.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for mut child in self.clients.drain(..) {
            let _ = child.wait();
        }
    }

    /// The process that keeps the agent that was started last.
    pub fn last_client(&self) -> Option<u32> {
        self.clients.last().map(Child::id)
    }

    /// Enrols an agent and lets it run.
    ///
    /// # Errors
    /// When it cannot enrol.
    pub fn agent(&mut self, name: &str, token: &str) -> Result<PathBuf> {
        let data = self.path(&format!("agent-{name}"));
        let enrolled = Command::new(client_program("sluis-agent"))
            .arg("enrol")
            .args(["--site", &self.address().to_string()])
            .args(["--site-key", &self.identity()?.to_string()])
            .args(["--token", token, "--name", name])
            .arg("--data")
            .arg(&data)
            .output()?;
        ensure!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        let log = fs::File::create(self.path(&format!("agent-{name}.log")))?;
        let child = Command::new(client_program("sluis-agent"))
            .arg("run")
            .arg("--data")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.clients.push(child);
        Ok(data)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for child in
            self.clients.iter_mut().chain(self.generations.iter_mut().map(|(_, child)| child))
        {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for (number, _) in &self.generations {
                let log = self.log(*number);
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                eprintln!("--- generation {number}:");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// A console's profile.
#[derive(Clone)]
pub struct Profile {
    home: PathBuf,
}

impl Profile {
    /// An empty profile in that folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(home: PathBuf) -> Result<Self> {
        fs::create_dir_all(&home)?;
        Ok(Self { home })
    }

    /// The profile's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A console among hundreds. Operators have machines of their own; here they share one with the
    /// appliance, and must not keep it from working.
    pub fn crowded_console(&self) -> Command {
        let mut command = Command::new("nice");
        command.args(["-n", "5"]).arg(client_program("sluis")).arg("--home").arg(&self.home);
        command
    }

    /// A console command.
    pub fn console(&self) -> Command {
        let mut command = Command::new(client_program("sluis"));
        command.arg("--home").arg(&self.home);
        command
    }
}

fn now() -> Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
