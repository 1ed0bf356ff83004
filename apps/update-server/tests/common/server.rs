//! The program under test: the server as a process, the operator's commands beside it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use reqwest::{Client, Response};

use super::Repository;

/// A server with its data and repository; ends with the test.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub repository: Repository,
    pub url: String,
    pub http: Client,
    more: Vec<&'static str>,
    child: Option<Child>,
}

impl Bench {
    /// Serves plain HTTP on a port of its own.
    pub fn start() -> Self {
        Self::start_with(&["--plain"])
    }

    pub fn start_with(more: &[&'static str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let repository = Repository::new(dir.path().join("repo"));
        let http = Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
        let (url, child) = (String::new(), None);
        let mut bench = Self { dir, repository, url, http, more: more.to_vec(), child };
        bench.restart();
        bench
    }

    /// Kills the server as a power cut would, and starts it on the same data.
    pub fn restart(&mut self) {
        self.kill();
        let mut child = self
            .command()
            .args(["serve", "--listen", "127.0.0.1:0", "--repo", "repo"])
            .args(&self.more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        self.child = Some(child);
        line.trim().clone_into(&mut self.url);
        assert!(self.url.starts_with("http"), "it says where it listens: {line}");
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("to kill it");
            child.wait().expect("to wait for it");
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis-update"));
        command.current_dir(self.dir.path()).args(["--data", "data"]);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().expect("the program runs")
    }

    /// A command of the operator, which succeeds.
    pub fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// A command of the operator, which is refused without a panic.
    pub fn bad(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        errors
    }

    /// What `list` knows.
    pub fn list(&self) -> serde_json::Value {
        serde_json::from_str(&self.good(&["list", "--json"])).expect("JSON")
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.http.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
    }
}
