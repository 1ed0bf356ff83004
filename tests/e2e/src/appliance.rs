//! A whole appliance: a base that installs and runs its site, with its Jump Clients and consoles.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};

use crate::bins::program;
use crate::rig::Profile;
use crate::vendor::{Vendor, run};
use crate::web::Web;

/// An appliance with its data below one folder.
pub struct Appliance {
    folder: PathBuf,
    /// Where it answers.
    pub address: SocketAddr,
    /// Requests to it.
    pub web: Web,
    /// The password of `admin` at `/appliance`.
    pub password: String,
    base: Option<Child>,
    agents: Vec<Child>,
    token: String,
}

const API: &str = "/appliance/api/v1";

/// The passwords that the fixture chooses.
pub const PASSWORD: &str = "quiet-harbour-lock-7";

impl Appliance {
    /// Sets an appliance up from a base package and ties it to the update server.
    ///
    /// # Errors
    /// When `sluis-base` refuses.
    pub fn new(folder: &Path, package: &Path, vendor: &Vendor, enrolment: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let data = folder.join("appliance");
        let address = free_address()?;
        let said = run(Command::new(program("sluis-base"))
            .arg("init")
            .arg("--data")
            .arg(&data)
            .args(["--listen", &address.to_string(), "--hostname", "localhost"])
            .arg("--package")
            .arg(package))?;
        let first = said.lines().find_map(|line| line.strip_prefix("Password: "));
        let first = first.with_context(|| format!("no password in “{said}”"))?.to_owned();
        enrol(&data, vendor, enrolment)?;
        let (web, token, agents) = (Web::new(address), String::new(), Vec::new());
        Ok(Self {
            folder: folder.to_owned(),
            address,
            web,
            password: first,
            base: None,
            agents,
            token,
        })
    }

    /// An appliance that serves the site 1.0.0 (rev 1), with an administrator signed in.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn with_site(folder: &Path, vendor: &Vendor) -> Result<Self> {
        let enrolment = vendor.customer("Harbour", "localhost")?;
        let package = vendor.package("base", "1.0.0", 1)?;
        let mut appliance = Self::new(folder, &package, vendor, &enrolment)?;
        appliance.start()?;
        appliance.sign_in()?;
        let first = appliance.install("site", "1.0.0")?;
        ensure!(first.phase == "contracted", "{}\n{}", first.text, appliance.log());
        Ok(appliance)
    }

    /// Writes the `[limits]` of `base.toml`; they hold from the next start on.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub fn limits(&self, limits: &str) -> Result<()> {
        let path = self.data().join("base.toml");
        let text = fs::read_to_string(&path)?;
        let head = text.split("[limits]").next().unwrap_or_default();
        fs::write(path, format!("{head}[limits]\n{limits}")).map_err(Into::into)
    }

    /// Ties it to the update server again; answers what the command said.
    ///
    /// # Errors
    /// When it refuses.
    pub fn enrol(&self, vendor: &Vendor, enrolment: &str) -> Result<String> {
        enrol(&self.data(), vendor, enrolment)
    }

    /// The appliance's data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("appliance")
    }

    /// Starts the base from its package and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(&mut self) -> Result<()> {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.join("base.log"))?;
        let base = Command::new(self.data().join("current/base/bin/sluis-base"))
            .arg("run")
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the base does not start")?;
        self.base = Some(base);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.web.call(Method::GET, &format!("{API}/alive"), None, None).is_err() {
            let alive = self.web_is_up();
            if alive {
                break;
            }
            ensure!(Instant::now() < deadline, "the base does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn web_is_up(&self) -> bool {
        std::net::TcpStream::connect(self.address).is_ok()
            && self.web.call(Method::GET, &format!("{API}/alive"), None, None).is_ok()
    }

    /// The last lines that base and site logged, without those of sessions that came and went well.
    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.contains("INFO sluis_site::sessions::")).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Everything that base and site logged.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(self.folder.join("base.log")).unwrap_or_default()
    }

    /// Signs in at `/appliance`, choosing a password of our own the first time.
    ///
    /// # Errors
    /// When the appliance refuses.
    pub fn sign_in(&mut self) -> Result<()> {
        let body = json!({ "name": "admin", "password": self.password });
        let answer = self.web.call(Method::POST, &format!("{API}/login"), None, Some(&body))?;
        self.token = text(&answer, "token")?;
        if answer["must_change_password"] == true {
            let body = json!({ "old": self.password, "new": PASSWORD });
            self.api(Method::POST, "/password", Some(&body))?;
            PASSWORD.clone_into(&mut self.password);
            return self.sign_in();
        }
        Ok(())
    }

    /// Calls the appliance's API.
    ///
    /// # Errors
    /// When it says no.
    pub fn api(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.web.call(method, &format!("{API}{path}"), Some(&self.token), body)
    }

    /// Asks the update server what there is.
    ///
    /// # Errors
    /// When the check fails.
    pub fn check(&self) -> Result<Value> {
        self.api(Method::POST, "/updates/check", Some(&json!({})))
    }

    /// The card of a package in what a check found.
    ///
    /// # Errors
    /// When the check fails or does not list it.
    pub fn offered(&self, kind: &str, version: &str) -> Result<Value> {
        let found = self.check()?;
        let cards = found["packages"].as_array().cloned().unwrap_or_default();
        let card =
            cards.into_iter().find(|card| card["kind"] == kind && card["version"] == version);
        card.with_context(|| format!("{kind} {version} is not among {found}"))
    }

    /// Installs a package through the API and follows it; answers the phases with their moments.
    ///
    /// # Errors
    /// When the appliance refuses it.
    pub fn install(&self, kind: &str, version: &str) -> Result<Outcome> {
        let card = self.offered(kind, version)?;
        let body = json!({ "target": card["target"] });
        let begun = self.api(Method::POST, "/updates/install", Some(&body))?;
        self.follow(&begun["attempt"])
    }

    /// Goes back to the previous version.
    ///
    /// # Errors
    /// When the appliance refuses it.
    pub fn roll_back(&self, kind: &str) -> Result<Outcome> {
        let begun = self.api(Method::POST, "/updates/rollback", Some(&json!({ "kind": kind })))?;
        self.follow(&begun["attempt"])
    }

    /// Follows an attempt to its end.
    ///
    /// # Errors
    /// When the appliance does not answer for a long time.
    pub fn follow(&self, attempt: &Value) -> Result<Outcome> {
        let began = Instant::now();
        let mut phases: Vec<(Duration, String)> = Vec::new();
        loop {
            let progress = match self.api(Method::GET, "/updates/progress", None) {
                Ok(progress) => progress,
                Err(error) if began.elapsed() > Duration::from_mins(5) => return Err(error),
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            let phase = text(&progress, "phase")?;
            if progress["attempt"] == *attempt {
                if phases.last().is_none_or(|(_, last)| *last != phase) {
                    phases.push((began.elapsed(), phase.clone()));
                }
                if progress["done"] == true {
                    let text = text(&progress, "text").unwrap_or_default();
                    return Ok(Outcome { phase, text, phases, took: began.elapsed() });
                }
            }
            if began.elapsed() > Duration::from_mins(5) {
                bail!("the attempt is still in {phase}: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// The first password of the site's `admin`, as the site said it once in its log.
    ///
    /// # Errors
    /// When no site has run yet.
    pub fn site_password(&self) -> Result<String> {
        let path = self.data().join("site/first-password");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    /// Signs in at `/login` with a token for the API, choosing a password of our own the first time.
    ///
    /// # Errors
    /// When the site refuses.
    pub fn site_sign_in(&self) -> Result<String> {
        let mine = json!({ "name": "admin", "password": PASSWORD });
        if let Ok(answer) = self.web.call(Method::POST, "/api/v1/login", None, Some(&mine)) {
            return text(&answer, "token");
        }
        let first = self.site_password()?;
        let body = json!({ "name": "admin", "password": first });
        let answer = self.web.call(Method::POST, "/api/v1/login", None, Some(&body))?;
        let token = text(&answer, "token")?;
        let body = json!({ "old": first, "new": PASSWORD });
        self.web.call(Method::POST, "/api/v1/password", Some(&token), Some(&body))?;
        let answer = self.web.call(Method::POST, "/api/v1/login", None, Some(&mine))?;
        text(&answer, "token")
    }

    /// Signs a console in, with the real command.
    ///
    /// # Errors
    /// When the site refuses.
    pub fn console(&self, name: &str) -> Result<Profile> {
        use std::io::Write;
        let profile = Profile::new(self.folder.join(format!("console-{name}")))?;
        let mut child = profile
            .console()
            .args(["login", &self.address.to_string(), "--user", "admin", "--password-stdin"])
            .args(["--console-name", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("the console has no input")?;
        writeln!(stdin, "{PASSWORD}")?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(profile)
    }

    /// Enrols a Jump Client and lets it run.
    ///
    /// # Errors
    /// When it cannot enrol.
    pub fn agent(&mut self, name: &str, site_token: &str, agent: &Path) -> Result<PathBuf> {
        self.agent_with(name, site_token, agent, "")
    }

    /// The same, with `[keeper]` limits in its configuration.
    ///
    /// # Errors
    /// When it cannot enrol.
    pub fn agent_with(
        &mut self,
        name: &str,
        site_token: &str,
        agent: &Path,
        keeper: &str,
    ) -> Result<PathBuf> {
        let about = self.web.call(Method::GET, "/api/v1/about", None, None)?;
        let identity = text(&about, "identity")?;
        let body =
            json!({ "name": name, "group": "demo", "mode": "active", "uses": 1, "hours": 1 });
        let made = self.web.call(
            Method::POST,
            "/api/v1/enrolment-tokens",
            Some(site_token),
            Some(&body),
        )?;
        let token = text(&made, "token")?;
        let data = self.folder.join(format!("agent-{name}"));
        run(Command::new(agent)
            .arg("enrol")
            .args(["--site", &self.address.to_string(), "--site-key", &identity])
            .args(["--token", &token, "--name", name])
            .arg("--data")
            .arg(&data))?;
        if !keeper.is_empty() {
            let path = data.join("config.toml");
            let text = fs::read_to_string(&path)?;
            let head = text.split("[keeper]").next().unwrap_or_default();
            fs::write(&path, format!("{head}[keeper]\n{keeper}"))?;
        }
        let log = fs::File::create(self.folder.join(format!("agent-{name}.log")))?;
        let child = Command::new(agent)
            .arg("run")
            .arg("--data")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.agents.push(child);
        Ok(data)
    }

    /// The Jump Clients as the site lists them.
    ///
    /// # Errors
    /// When the site refuses.
    pub fn jump_clients(&self, site_token: &str) -> Result<Vec<Value>> {
        let answer = self.web.call(Method::GET, "/api/v1/jump-clients", Some(site_token), None)?;
        let list = answer.get("jump_clients").unwrap_or(&answer);
        Ok(list.as_array().cloned().unwrap_or_default())
    }

    /// Waits until all Jump Clients are online, with that version if one is named.
    ///
    /// # Errors
    /// When it takes too long; with how they are.
    pub fn wait_clients(
        &self,
        site_token: &str,
        count: usize,
        version: Option<&str>,
        limit: Duration,
    ) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let clients = self.jump_clients(site_token).unwrap_or_default();
            let good = clients.iter().filter(|client| {
                client["state"] == "online"
                    && version.is_none_or(|version| client["version"] == version)
            });
            if good.count() >= count {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < limit, "the Jump Clients are {clients:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the base and everything of it.
    pub fn stop(&mut self) {
        if let Some(mut base) = self.base.take() {
            let pid = rustix::process::Pid::from_child(&base);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline {
                if matches!(base.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = base.kill();
            let _ = base.wait();
        }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            let pid = rustix::process::Pid::from_child(agent);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for agent in &mut self.agents {
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline && !matches!(agent.try_wait(), Ok(Some(_))) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = agent.kill();
            let _ = agent.wait();
        }
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- base and site:\n{}", self.log());
        }
    }
}

/// How an install ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its last phase.
    pub phase: String,
    /// What it says.
    pub text: String,
    /// When each phase began.
    pub phases: Vec<(Duration, String)>,
    /// From asking to the end.
    pub took: Duration,
}

fn enrol(data: &Path, vendor: &Vendor, enrolment: &str) -> Result<String> {
    let mut command = Command::new(program("sluis-base"));
    run(command
        .arg("enrol")
        .arg("--data")
        .arg(data)
        .arg(enrolment)
        .arg("--root")
        .arg(vendor.root()))
}

fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("no {key} in {value}"))?.to_owned())
}

/// A port below the ephemeral ones, which outgoing connections cannot take in the meantime.
fn free_address() -> Result<SocketAddr> {
    let start = 10_000 + (std::process::id() % 15_000) as u16;
    (start..start + 500)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no free port between 10000 and 25500")
}
