//! A real browser without a window: Debian's Chromium, driven over WebDriver as a person would.
//!
//! Things are found by what a person reads: a field by its label, a button or link by its words.
//! Every page that is opened is looked over ([`Browser::look_over`]): it fits its window, each field
//! has a label, what can be reached by keyboard shows where it is, and the browser has no complaint.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// How long something that a person waits for may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a page that is changing.
const LOOK: Duration = Duration::from_millis(40);

/// The sizes at which every page is looked over: a desktop, and a telephone held upright.
const SIZES: [(u32, u32); 2] = [(1280, 900), (400, 860)];

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// They may.
    Run,
    /// They may not; pages have to work all the same.
    Off,
}

/// A browser with one window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    site: String,
    downloads: PathBuf,
    pictures: Option<PathBuf>,
    runtime: tokio::runtime::Runtime,
    seen: std::cell::Cell<u32>,
}

impl Browser {
    /// Opens a browser that begins addresses with `site`, such as `https://127.0.0.1:10443`.
    ///
    /// Files that it saves and its profile go below `folder`. When `SLUIS_PICTURES` names a folder,
    /// each page that is looked over is drawn into it.
    ///
    /// # Errors
    /// When `chromedriver` or the browser does not start.
    pub fn open(site: &str, folder: &Path, scripts: Scripts) -> Result<Self> {
        let downloads = folder.join("downloads");
        std::fs::create_dir_all(&downloads)?;
        let (driver, port) = start_driver(folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            site: site.to_owned(),
            downloads,
            pictures: std::env::var_os("SLUIS_PICTURES").map(PathBuf::from),
            runtime,
            seen: std::cell::Cell::new(0),
        };
        let wanted = capabilities(folder, &browser.downloads);
        let opened = browser.http(Method::POST, "/session", Some(&wanted))?;
        let session = opened["sessionId"].as_str().context("chromedriver opened no session")?;
        browser.session = format!("/session/{session}");
        if scripts == Scripts::Off {
            browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }))?;
        }
        browser.resize(SIZES[0])?;
        Ok(browser)
    }

    /// Opens an address of the site.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn go(&self, path: &str) -> Result<()> {
        self.post("/url", &json!({ "url": format!("{}{path}", self.site) })).map(drop)
    }

    /// The path of the page that is shown.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn path(&self) -> Result<String> {
        let url = self.get("/url")?;
        let url = url.as_str().unwrap_or_default();
        Ok(url.strip_prefix(&self.site).unwrap_or(url).to_owned())
    }

    /// Types into the field with that label, instead of what stands there.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn fill(&self, label: &str, text: &str) -> Result<()> {
        let element = self.field(label)?;
        self.post(&format!("/element/{element}/clear"), &json!({}))?;
        self.post(&format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// Clicks the field with that label: ticks a box, or chooses one of several.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn tick(&self, label: &str) -> Result<()> {
        let element = self.field(label)?;
        self.post(&format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Clicks the button or link that says exactly that; of several the first that is shown.
    ///
    /// # Errors
    /// When there is none after a while.
    pub fn press(&self, words: &str) -> Result<()> {
        let words = quoted(words);
        let xpath =
            format!("//*[self::button or self::a or self::summary][normalize-space(.)={words}]");
        self.click(&xpath)
    }

    /// Clicks the button or link of that name in the table row whose heading says `row`.
    ///
    /// # Errors
    /// When there is none after a while.
    pub fn press_in(&self, row: &str, words: &str) -> Result<()> {
        let (row, words) = (quoted(row), quoted(words));
        let xpath = format!(
            "//tr[th[contains(normalize-space(.),{row})]]\
             //*[self::button or self::a][starts-with(normalize-space(.),{words})]"
        );
        self.click(&xpath)
    }

    /// Sends keys to what has the focus, such as [`ENTER`].
    ///
    /// # Errors
    /// When nothing has it.
    pub fn keys(&self, keys: &str) -> Result<()> {
        let focused = element_id(&self.get("/element/active")?)?;
        self.post(&format!("/element/{focused}/value"), &json!({ "text": keys })).map(drop)
    }

    /// Waits until the page says that.
    ///
    /// # Errors
    /// With what it says instead, when it does not in time.
    pub fn expect(&self, words: &str) -> Result<()> {
        self.wait(words, |text| text.contains(words))
    }

    /// Waits until the page says that, with a deadline of its own for what takes its time.
    ///
    /// # Errors
    /// With what it says instead, when it does not in time.
    pub fn expect_within(&self, limit: Duration, words: &str) -> Result<()> {
        self.wait_within(limit, words, |text| text.contains(words))
    }

    /// Fails when the page says that now.
    ///
    /// # Errors
    /// With all that it says.
    pub fn expect_not(&self, words: &str) -> Result<()> {
        let text = self.text()?;
        ensure!(!text.contains(words), "the page says “{words}”: {text}");
        Ok(())
    }

    fn wait(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<()> {
        self.wait_within(PATIENCE, what, is_it)
    }

    fn wait_within(&self, limit: Duration, what: &str, is_it: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            // While a page is being replaced there may be none.
            let text = self.text().unwrap_or_default();
            if is_it(&text) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} does not say “{what}” but:\n{text}", self.path()?);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What a person reads on the page.
    ///
    /// # Errors
    /// When there is no page.
    pub fn text(&self) -> Result<String> {
        let text = self.script("return document.body.innerText", &json!([]))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// The text of the first element that a CSS selector names.
    ///
    /// # Errors
    /// When there is none after a while.
    pub fn text_of(&self, selector: &str) -> Result<String> {
        let element = self.locate("css selector", selector)?;
        let text = self.get(&format!("/element/{element}/text"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// The files that were saved, once `count` of them are whole.
    ///
    /// # Errors
    /// When they are not in time.
    pub fn saved(&self, count: usize) -> Result<Vec<PathBuf>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let files = std::fs::read_dir(&self.downloads)?.flatten().map(|entry| entry.path());
            let mut whole: Vec<PathBuf> = files
                .filter(|path| path.extension().is_none_or(|kind| kind != "crdownload"))
                .filter(|path| path.file_name().is_none_or(|n| n.as_encoded_bytes()[0] != b'.'))
                .collect();
            whole.sort();
            if whole.len() >= count {
                return Ok(whole);
            }
            ensure!(Instant::now() < deadline, "only {whole:?} was saved");
            std::thread::sleep(LOOK);
        }
    }

    /// Looks the page over at every size, draws it where pictures are wanted, and fails with all that
    /// a person would stumble over.
    ///
    /// # Errors
    /// With the list.
    pub fn look_over(&self, name: &str) -> Result<()> {
        let mut faults: Vec<String> = Vec::new();
        for size in SIZES {
            self.resize(size)?;
            let found = self.script(LOOK_OVER, &json!([]))?;
            let found = found.as_array().cloned().unwrap_or_default();
            let said = found.iter().filter_map(Value::as_str);
            faults.extend(said.map(|fault| format!("{} px wide: {fault}", size.0)));
            self.draw(name, size.0)?;
        }
        self.resize(SIZES[0])?;
        faults.extend(self.complaints()?);
        ensure!(faults.is_empty(), "{name} ({}):\n{}", self.path()?, faults.join("\n"));
        Ok(())
    }

    fn draw(&self, name: &str, width: u32) -> Result<()> {
        let Some(folder) = &self.pictures else { return Ok(()) };
        std::fs::create_dir_all(folder)?;
        let number = self.seen.get();
        self.seen.set(number + 1);
        let picture = self.devtools(
            "Page.captureScreenshot",
            &json!({ "format": "png", "captureBeyondViewport": true }),
        )?;
        let picture = picture["data"].as_str().context("no picture came")?;
        let file = folder.join(format!("{number:03}-{name}-{width}.png"));
        std::fs::write(&file, base64(picture)).with_context(|| file.display().to_string())
    }

    /// What the browser complained about since it was last asked: refused scripts and styles,
    /// failed requests.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({ "type": "browser" }))?;
        let entries = log.as_array().cloned().unwrap_or_default();
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        Ok(entries.iter().map(text).collect())
    }

    /// The element that has the focus, as `name` or as its words.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn focused(&self) -> Result<String> {
        let script = "const e = document.activeElement; return e.name || e.innerText || e.tagName";
        Ok(self.script(script, &json!([]))?.as_str().unwrap_or_default().to_owned())
    }

    fn resize(&self, (width, height): (u32, u32)) -> Result<()> {
        // Narrower than the narrowest window, so the page is told instead of the window.
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).map(drop)
    }

    fn field(&self, label: &str) -> Result<String> {
        let label = quoted(label);
        self.find(&format!("//*[@id=//label[normalize-space(.)={label}]/@for]"))
    }

    /// Clicks what is found; looks again when the page replaced it in between.
    fn click(&self, xpath: &str) -> Result<()> {
        loop {
            let element = self.find(xpath)?;
            match self.post(&format!("/element/{element}/click"), &json!({})) {
                Err(error) if error.to_string().contains("stale element") => {}
                clicked => return clicked.map(drop),
            }
        }
    }

    fn find(&self, xpath: &str) -> Result<String> {
        self.locate("xpath", xpath)
    }

    /// The first element that is shown, waiting for it.
    fn locate(&self, using: &str, what: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let query = json!({ "using": using, "value": what });
            let found = self.post("/elements", &query)?;
            for element in found.as_array().into_iter().flatten() {
                let id = element_id(element)?;
                let shown = self.get(&format!("/element/{id}/displayed"));
                if shown.is_ok_and(|shown| shown == true) {
                    return Ok(id);
                }
            }
            if Instant::now() > deadline {
                bail!("{} shows no {what}:\n{}", self.path()?, self.text()?);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn script(&self, script: &str, arguments: &Value) -> Result<Value> {
        self.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body)
    }

    fn get(&self, path: &str) -> Result<Value> {
        self.http(Method::GET, &format!("{}{path}", self.session), None)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
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

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver that is left is killed.
        let _ = self.http(Method::DELETE, &self.session, None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The key that presses the button that has the focus, and sends the form of a field.
pub const ENTER: &str = "\u{e007}";

/// The key that moves the focus on.
pub const TAB: &str = "\u{e004}";

/// Finds what a person would stumble over; runs in the page.
const LOOK_OVER: &str = r"
const faults = [];
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width)
  faults.push(`the page is ${document.documentElement.scrollWidth} px wide`);
for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
  if (!field.labels || !field.labels.length) faults.push(`the field ${field.name} has no label`);
if (document.querySelectorAll('h1').length !== 1) faults.push('the page has not one heading');
if (!document.title) faults.push('the page has no title');
const before = document.activeElement;
for (const each of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')) {
  const box = each.getBoundingClientRect();
  const inside = each.tagName === 'SUMMARY' ? each.parentElement.parentElement : each;
  if (!box.width || inside.closest('details:not([open])')) continue;
  each.focus({ preventScroll: true, focusVisible: true });
  if (document.activeElement !== each) { faults.push(`${each.outerHTML.slice(0, 80)} takes no focus`); continue; }
  const style = getComputedStyle(each);
  if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2)
    faults.push(`${each.outerHTML.slice(0, 80)} does not show that it has the focus`);
  if (box.height < 20 && each.tagName === 'BUTTON') faults.push(`${each.innerText} is ${box.height} px high`);
}
before.focus({ preventScroll: true });
if (before === document.body) document.activeElement.blur();
return faults;
";

fn start_driver(folder: &Path) -> Result<(Child, u16)> {
    let log = std::fs::File::create(folder.join("chromedriver.log"))?;
    let mut driver = Command::new("chromedriver")
        .args(["--port=0", "--allowed-ips="])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("chromedriver does not start; `cargo xtask test` installs chromium-driver")?;
    let stdout = driver.stdout.take().context("chromedriver has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Reads on, so that the driver never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((driver, port.context("chromedriver names no port")?))
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

fn element_id(element: &Value) -> Result<String> {
    // The one key is a fixed word of the protocol.
    let id = element.as_object().and_then(|object| object.values().next());
    Ok(id.and_then(Value::as_str).context("that is no element")?.to_owned())
}

/// Text as a string of XPath, which knows no escapes.
fn quoted(text: &str) -> String {
    if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") }
}

/// Bytes from base64 as the driver writes it.
fn base64(text: &str) -> Vec<u8> {
    let value = |sign: u8| match sign {
        b'A'..=b'Z' => Some(sign - b'A'),
        b'a'..=b'z' => Some(sign - b'a' + 26),
        b'0'..=b'9' => Some(sign - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let signs: Vec<u8> = text.bytes().filter_map(value).collect();
    let mut bytes = Vec::with_capacity(signs.len() * 3 / 4);
    for four in signs.chunks(4) {
        let bits = four.iter().fold(0u32, |bits, sign| bits << 6 | u32::from(*sign));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_a_rest() {
        assert_eq!(base64("c2x1aXM="), b"sluis");
        assert_eq!(base64("c2x1aQ=="), b"slui");
        assert_eq!(base64("c2x1aXMu"), b"sluis.");
    }

    #[test]
    fn words_with_an_apostrophe_are_one_string() {
        assert_eq!(quoted("ada"), "'ada'");
        assert_eq!(quoted("it's"), "\"it's\"");
    }
}
