//! Data written all the time, which must be there afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use crate::web::Web;

const PATH: &str = "/api/v1/enrolment-tokens";

/// Makes enrolment tokens, a few a second.
pub struct Writing {
    web: Web,
    site_token: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Value>>,
}

impl Writing {
    /// Starts to write, through the site's API.
    pub fn start(web: Web, site_token: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (own, token, stopped) = (web.clone(), site_token.to_owned(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut written = vec![];
            while !stopped.load(Ordering::Acquire) {
                let body =
                    json!({ "name": format!("note-{}", written.len()), "uses": 1, "hours": 2 });
                // What was not confirmed may be missing.
                if let Ok(made) = own.call(Method::POST, PATH, Some(&token), Some(&body)) {
                    written.push(made["id"].clone());
                }
                std::thread::sleep(Duration::from_millis(250));
            }
            written
        });
        Self { web, site_token: site_token.to_owned(), stop, thread }
    }

    /// Stops; everything that was confirmed must be there. Answers how much that is.
    ///
    /// # Errors
    /// When something is gone.
    pub fn finish(self) -> Result<usize> {
        self.stop.store(true, Ordering::Release);
        let written = self.thread.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        let listed = self.web.call(Method::GET, PATH, Some(&self.site_token), None)?;
        let listed = listed.as_array().context("the site lists no tokens")?;
        let there: BTreeSet<String> = listed.iter().map(|token| token["id"].to_string()).collect();
        let gone = written.iter().filter(|id| !there.contains(&id.to_string())).count();
        ensure!(gone == 0, "{gone} of {} enrolment tokens are gone", written.len());
        Ok(written.len())
    }
}
