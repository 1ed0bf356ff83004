//! A whole appliance of real processes beside an update server with real signed metadata.
#![allow(dead_code, reason = "each test file uses a part")]
#![expect(clippy::unwrap_used, reason = "a laboratory that does not work ends its test")]

pub mod agents;
pub mod packages;
pub mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use model::Release;
use serde_json::{Value, json};

use packages::Built;
use world::World;

pub const PASSWORD: &str = "a password of their own";

/// One appliance.
pub struct Lab {
    dir: tempfile::TempDir,
    pub world: World,
    pub address: SocketAddr,
    keeper: Option<Child>,
    token: String,
    env: BTreeMap<String, String>,
}

/// An address that nobody listens on; below the ephemeral ports, so that no client takes it.
fn free_address() -> SocketAddr {
    let start = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap() * 2;
    (start..32_000)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .unwrap()
}

/// The version of a program in a slot, by the manifest beside it.
fn version_beside(program: &Path) -> Option<String> {
    let manifest = program.parent()?.parent()?.join("manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).ok()?).ok()?;
    manifest["version"].as_str().map(str::to_owned)
}

impl Lab {
    /// An appliance that was set up, with its base running and an administrator signed in.
    pub async fn new() -> Self {
        let mut lab = Self::set_up().await;
        lab.start();
        lab.sign_in_first().await;
        lab
    }

    /// An appliance with the first site serving, on a disk of so many MiB; none where no disk can be mounted.
    pub async fn serving_on_a_disk_of(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(&data);
        if !mount.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let mut lab = Self::set_up_in(dir).await;
        lab.start();
        lab.sign_in_first().await;
        let site = packages::site(Release::new(1, 0, 0, 1), "");
        assert_eq!(lab.install(&site).await, "contracted", "{}", lab.story().await);
        Some(lab)
    }

    /// An appliance that was set up and enrolled and does not run.
    pub async fn set_up() -> Self {
        Self::set_up_in(tempfile::tempdir().unwrap()).await
    }

    async fn set_up_in(dir: tempfile::TempDir) -> Self {
        let world = World::new().await;
        let base = packages::base(Release::new(1, 0, 0, 1), "");
        let package = dir.path().join("base.pkg");
        std::fs::write(&package, &base.bytes).unwrap();
        std::fs::write(dir.path().join("root.json"), world.root()).unwrap();
        let address = free_address();
        let lab =
            Self { dir, world, address, keeper: None, token: String::new(), env: BTreeMap::new() };
        lab.command(&["init", "--listen", &address.to_string(), "--hostname", "site.example.com"])
            .args(["--default-password", "--package"])
            .arg(&package)
            .quiet_success();
        lab.limits(3, 4, 0);
        let text = lab.world.enrolment_text();
        lab.command(&["enrol", &text])
            .arg("--root")
            .arg(lab.dir.path().join("root.json"))
            .quiet_success();
        lab
    }

    /// An appliance with the first version of the site serving.
    pub async fn serving() -> Self {
        let mut lab = Self::new().await;
        let site = packages::site(Release::new(1, 0, 0, 1), "");
        assert_eq!(lab.install(&site).await, "contracted", "{}", lab.story().await);
        lab
    }

    /// Sets how long proving and trial may take and how long it must be stable, in seconds.
    pub fn limits(&self, prove: u64, trial: u64, stable: u64) {
        let path = self.data().join("base.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let head = text.split("[limits]").next().unwrap();
        let limits = format!(
            "[limits]\nprove_s = {prove}\ntrial_s = {trial}\nstable_s = {stable}\nwatchdog_s = 4\nmaintenance_s = 1\n"
        );
        std::fs::write(path, format!("{head}{limits}")).unwrap();
    }

    /// Sets after how long without a keeper the base starts one, in seconds.
    pub fn keeper_within(&self, seconds: u64) {
        let path = self.data().join("base.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}keeper_s = {seconds}\n")).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(packages::base_program());
        command.args(args).arg("--data").arg(self.data());
        command
    }

    /// Sets a variable for the base when it is started next.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.to_owned(), value.into());
    }

    /// Arms a failpoint, to fire once, for the base when it is started next.
    pub fn arm(&mut self, point: &str) {
        let once = self.dir.path().join("once");
        let _ = std::fs::remove_dir_all(&once);
        std::fs::create_dir_all(&once).unwrap();
        self.set("SLUIS_FAILPOINTS", format!("{point}=kill"));
        self.set("SLUIS_FAILPOINTS_ONCE", once.to_str().unwrap());
    }

    /// Whether the armed failpoint fired.
    pub fn fired(&self) -> bool {
        std::fs::read_dir(self.dir.path().join("once")).unwrap().next().is_some()
    }

    /// Starts the keeper.
    pub fn start(&mut self) {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let mut command = self.command(&["run"]);
        command.envs(&self.env).env("SLUIS_LOG", "info").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log).process_group(0);
        self.keeper = Some(command.spawn().unwrap());
    }

    /// Stops everything in order.
    pub fn stop(&mut self) {
        let Some(mut keeper) = self.keeper.take() else { return };
        let pid = rustix::process::Pid::from_child(&keeper);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let until = Instant::now() + Duration::from_secs(15);
        while keeper.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                let _ = keeper.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the keeper alone.
    pub fn kill_keeper(&mut self) {
        let mut keeper = self.keeper.take().unwrap();
        keeper.kill().unwrap();
        keeper.wait().unwrap();
    }

    /// Waits until the keeper ends by itself.
    pub fn keeper_ends(&mut self) {
        let mut keeper = self.keeper.take().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while keeper.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the keeper goes on\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a power cut does to processes: all of them end at once.
    pub fn power_off(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            let pid = rustix::process::Pid::from_child(&keeper);
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        self.kill_all();
    }

    /// Ends them all, those too that one of them starts on the way.
    fn kill_all(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > until {
                return;
            }
            for pid in left.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Every process that works on this data directory.
    pub fn processes(&self) -> Vec<i32> {
        let data = self.data();
        let data = data.to_str().unwrap().as_bytes();
        let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse::<i32>().ok()?;
            let own = u32::try_from(pid).is_ok_and(|pid| pid == std::process::id());
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let ours = |text: &[u8]| text.windows(data.len()).any(|part| part == data);
            (!own && (ours(&command) || ours(&environment))).then_some(pid)
        });
        all.collect()
    }

    /// The pid of the keeper.
    pub fn keeper_pid(&self) -> u32 {
        self.keeper.as_ref().unwrap().id()
    }

    /// The version of the program that the keeper is, by the manifest beside it.
    pub fn keeper_version(&self) -> Option<String> {
        version_beside(&std::fs::read_link(format!("/proc/{}/exe", self.keeper_pid())).ok()?)
    }

    /// The process of the base's program that does what it calls by that word, and its version; also one
    /// that somebody else than the lab started.
    pub fn process(&self, does: &str) -> Option<(i32, String)> {
        self.processes().into_iter().find_map(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            let is_it = program.ends_with("sluis-base")
                && command.split(|b| *b == 0).nth(1) == Some(does.as_bytes());
            is_it.then_some((pid, version_beside(&program)?))
        })
    }

    /// The pid of the base that runs now.
    pub fn base_pid(&self) -> Option<i32> {
        let keeper = self.keeper.as_ref()?.id();
        self.processes().into_iter().find(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent =
                stat.rsplit_once(')').and_then(|(_, r)| r.split_whitespace().nth(1)?.parse().ok());
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            parent == Some(keeper)
                && command.split(|b| *b == 0).nth(1) == Some(b"serve")
                && !command.windows(10).any(|part| part == b"sluis-site")
        })
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Changes the first password and keeps the token.
    pub async fn sign_in_first(&mut self) {
        let login = json!({ "name": "admin", "password": "password" });
        let answer = self.until_answer(Method::POST, "login", Some(&login)).await;
        self.token = String::from(answer["token"].as_str().unwrap());
        let change = json!({ "old": "password", "new": PASSWORD });
        let (status, answer) = self.api(Method::POST, "password", Some(&change)).await.unwrap();
        assert_eq!(status, 200, "{answer}");
    }

    /// Asks the base over its socket, as the site does.
    pub async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), String> {
        let socket = self.data().join("run/base.sock");
        let ask = request(&socket, &self.token, method, path, body);
        tokio::time::timeout(Duration::from_secs(30), ask).await.map_err(|_| "late".to_owned())?
    }

    /// Asks until somebody answers.
    pub async fn until_answer(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match self.api(method.clone(), path, body).await {
                Ok((200 | 202, answer)) => return answer,
                other if Instant::now() > until => {
                    panic!("no answer to {path}: {other:?}\n{}", self.log())
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Publishes a package and installs it through the real path; answers the state at the end.
    pub async fn install(&mut self, package: &Built) -> String {
        self.begin_install(package).await;
        self.end().await
    }

    /// Publishes a package and begins to install it.
    pub async fn begin_install(&mut self, package: &Built) {
        self.world.publish(package);
        let checked = self.until_answer(Method::POST, "updates/check", None).await;
        let cards = checked["packages"].as_array().unwrap();
        assert!(cards.iter().any(|card| card["target"] == package.target.as_str()), "{checked}");
        self.begin("updates/install", &json!({ "target": package.target })).await;
    }

    /// Asks until something begins: the base may be killed on the way, before or after it wrote that down.
    async fn begin(&self, path: &str, body: &Value) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match self.api(Method::POST, path, Some(body)).await {
                Ok((202 | 409, _)) => return,
                other if Instant::now() > until => panic!("{path} does not begin: {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Goes back to the kept slot; answers the state at the end.
    pub async fn roll_back(&mut self, kind: &str) -> String {
        self.begin_roll_back(kind).await;
        self.end().await
    }

    pub async fn begin_roll_back(&mut self, kind: &str) {
        self.begin("updates/rollback", &json!({ "kind": kind })).await;
    }

    /// Asks to go back where there is nothing to go back to; answers the status.
    pub async fn roll_back_refused(&self) -> u16 {
        let body = json!({ "kind": "site" });
        self.api(Method::POST, "updates/rollback", Some(&body)).await.unwrap().0
    }

    /// Waits until the installer is at rest; answers its state.
    pub async fn end(&self) -> String {
        let until = Instant::now() + Duration::from_mins(1);
        loop {
            let progress = self.until_answer(Method::GET, "updates/progress", None).await;
            if progress["done"] == true {
                return progress["phase"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "it never ended: {progress}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The log of installs in words.
    pub async fn story(&self) -> String {
        let log = self.until_answer(Method::GET, "updates/log", None).await;
        let mut story = String::new();
        for entry in log["entries"].as_array().unwrap() {
            let part = |name: &str| entry[name].as_str().unwrap();
            story += &[part("phase"), ": ", part("text"), "\n"].concat();
        }
        story
    }

    /// The version behind `current`, as its manifest says it.
    pub fn current(&self, kind: &str) -> String {
        let path = self.data().join("current").join(kind).join("manifest.json");
        let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        manifest["version"].as_str().unwrap().to_owned()
    }

    /// Which generation answers on `https` now.
    pub async fn generation(&self) -> Option<String> {
        agents::get(self.address).await.ok()
    }

    /// Waits until a generation answers on `https`.
    pub async fn until_generation(&self) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(answer) = self.generation().await {
                return answer;
            }
            assert!(Instant::now() < until, "no generation answers\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the appliance ---\n{}", self.log());
        }
        self.power_off();
        // Where it was a disk of its own.
        let _ = Command::new("umount").arg("-q").arg(self.data()).stderr(Stdio::null()).status();
    }
}

/// Runs a command that must succeed.
trait QuietSuccess {
    fn quiet_success(&mut self);
}

impl QuietSuccess for Command {
    fn quiet_success(&mut self) {
        let output = self.output().unwrap();
        assert!(
            output.status.success(),
            "{self:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

async fn request(
    socket: &Path,
    token: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), String> {
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(|e| e.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/appliance/api/v1/{path}"))
        .header("host", "site.example.com")
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    let request = request.body(Full::new(bytes::Bytes::from(body))).map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    connection.abort();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Ok((status, value))
}
