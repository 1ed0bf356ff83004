//! A real browser without a window: Debian's Chromium, driven over WebDriver as a person would.
//!
//! Things are found by what a person reads: a field by its label, a button or link by its words.
//! Every page that is opened is looked over ([`Browser::look_over`]): it fits its window, each field
//! has a label, what can be reached by keyboard shows where it is, and the browser has no complaint.

mod driver;
mod elements;
mod look_over;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;

use self::driver::Driver;
pub use self::elements::{ENTER, TAB};

/// How long something that a person waits for may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a page that is changing.
const LOOK: Duration = Duration::from_millis(40);

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
    driver: Driver,
    site: String,
    downloads: PathBuf,
    pictures: Option<PathBuf>,
    drawn: Cell<u32>,
}

impl Browser {
    /// Opens a browser that begins addresses with `site`, such as `https://127.0.0.1:10443`.
    ///
    /// Files that it saves and its profile go below `folder`. When `SLUIS_PICTURES` names a folder,
    /// each page that is looked over is drawn into it.
    ///
    /// # Errors
    /// When `chromedriver` or the browser does not start.
    pub fn open(site: &str, folder: &Path) -> Result<Self> {
        let downloads = folder.join("downloads");
        std::fs::create_dir_all(&downloads)?;
        let browser = Self {
            driver: Driver::start(folder, &downloads)?,
            site: site.to_owned(),
            downloads,
            pictures: std::env::var_os("SLUIS_PICTURES").map(PathBuf::from),
            drawn: Cell::new(0),
        };
        browser.resize_to_desktop()?;
        Ok(browser)
    }

    /// Lets pages run scripts, as they do at first, or not.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn scripts(&self, scripts: Scripts) -> Result<()> {
        let off = json!({ "value": scripts == Scripts::Off });
        self.driver.devtools("Emulation.setScriptExecutionDisabled", &off).map(drop)
    }

    /// Opens an address of the site.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn go(&self, path: &str) -> Result<()> {
        self.driver.post("/url", &json!({ "url": format!("{}{path}", self.site) })).map(drop)
    }

    /// The path of the page that is shown.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn path(&self) -> Result<String> {
        let url = self.driver.get("/url")?;
        let url = url.as_str().unwrap_or_default();
        Ok(url.strip_prefix(&self.site).unwrap_or(url).to_owned())
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
        let text = self.driver.script("return document.body.innerText")?;
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
}
