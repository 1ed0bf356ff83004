//! The program that drives the browser, spoken to over WebDriver.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A running `chromedriver` with one browser.
pub struct Driver {
    program: Child,
    port: u16,
    session: String,
    runtime: Runtime,
}

impl Driver {
    /// Starts both; the browser's profile goes below `folder`, files that it saves into `downloads`.
    pub fn start(folder: &Path, downloads: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (program, port) = start(folder)?;
        let mut driver = Self { program, port, session: String::new(), runtime };
        let wanted = capabilities(folder, downloads);
        let opened = driver.http(Method::POST, "/session", Some(&wanted))?;
        let session = opened["sessionId"].as_str().context("chromedriver opened no session")?;
        driver.session = format!("/session/{session}");
        Ok(driver)
    }

    pub fn script(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    pub fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body)
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        self.http(Method::GET, &format!("{}{path}", self.session), None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.http(Method::POST, &format!("{}{path}", self.session), Some(body))
    }

    fn http(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let sent = self.runtime.block_on(exchange(self.port, method, path, body));
        let answer = sent.with_context(|| format!("chromedriver does not answer to {path}"))?;
        let value = answer["value"].clone();
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            let said = value["message"].as_str().unwrap_or_default();
            bail!("{path}: {error}: {}", said.lines().next().unwrap_or_default());
        }
        Ok(value)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ends the browser; the driver that is left is killed.
        let _ = self.http(Method::DELETE, &self.session, None);
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn start(folder: &Path) -> Result<(Child, u16)> {
    let log = std::fs::File::create(folder.join("chromedriver.log"))?;
    let mut program = Command::new("chromedriver")
        .args(["--port=0", "--allowed-ips="])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("chromedriver does not start; `cargo xtask test` installs chromium-driver")?;
    let stdout = program.stdout.take().context("chromedriver has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Reads on, so that the driver never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((program, port.context("chromedriver names no port")?))
}

fn capabilities(folder: &Path, downloads: &Path) -> Value {
    let profile = format!("--user-data-dir={}", folder.join("browser").display());
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        // The appliance's certificate is its own.
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", profile,
            ],
            "prefs": {
                "download.default_directory": downloads,
                "download.prompt_for_download": false,
                "credentials_enable_service": false,
                "profile.password_manager_leak_detection": false,
            },
        },
    } } })
}

async fn exchange(port: u16, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    let driving = tokio::spawn(connection);
    let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("content-type", "application/json")
        .body(Full::new(bytes))?;
    let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    driving.abort();
    serde_json::from_slice(&answer).context("the answer is no JSON")
}
