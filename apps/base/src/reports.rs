//! Tells the update server how installs go. A report that cannot be sent changes nothing.
//!
//! The log of installs is the queue: it is on disk, and each of its entries has its number within its attempt.
//! What was told up to which entry is on disk too, so a restart tells nothing anew and leaves nothing out; when a crash
//! comes between the answer and that, one report is told twice, and the update server knows it by attempt and number.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use host::{RealFs, load_json, save_json};
use release::offer::{ReportRequest, SIGNATURE_HEADER, sign_request};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::base::Shared;
use crate::enrol::{self, Enrolment};
use crate::log::{Entry, InstallLog};
use crate::paths::Paths;
use crate::update_server;

/// How long to wait after a report could not be sent, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// Up to which entry of the log the update server was told.
pub struct Reports {
    paths: Paths,
    told: Mutex<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// The number of that entry.
    n: u64,
}

/// What became of one report.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// The update server has it.
    Taken,
    /// It will never take it; with its words.
    Refused(String),
    /// It may take it later; with the reason.
    Later(String),
}

impl Reports {
    /// Takes up where an earlier base stopped; a base that never told anything begins with the last attempt.
    pub fn open(paths: &Paths, log: &InstallLog) -> Self {
        let told: Option<Told> = load_json(&RealFs, &paths.reported()).unwrap_or_default();
        let told = told.unwrap_or_else(|| Told { n: log.before_last_attempt() });
        // Beyond the end: somebody took the log away, and numbers began anew.
        let told = if told.n > log.last() { Told { n: 0 } } else { told };
        Self { paths: paths.clone(), told: Mutex::new(told) }
    }

    fn told(&self) -> u64 {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).n
    }

    /// Remembers that everything up to this entry was told. Should that fail, a restart tells it again.
    fn remember(&self, n: u64) {
        let told = Told { n };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        if let Err(error) = save_json(&RealFs, &self.paths.reported(), &told) {
            tracing::warn!(%error, "Reports that were sent cannot be remembered");
        }
    }
}

/// Sends reports for as long as the base runs.
pub async fn send(base: Shared) {
    let mut news = base.log.watch();
    let mut again = AGAIN.0;
    loop {
        let told = base.reports.told();
        let Some(entry) = base.log.after(told).into_iter().find(|entry| entry.attempt.is_some())
        else {
            // Ends with the base.
            let _ = news.wait_for(|last| *last > told).await;
            if base.log.after(told).iter().all(|entry| entry.attempt.is_none()) {
                base.reports.remember(base.log.last());
            }
            continue;
        };
        match send_one(&base, &entry)
            .await
            .unwrap_or_else(|error| Sent::Later(format!("{error:#}")))
        {
            Sent::Taken => {}
            Sent::Refused(reason) => {
                let (attempt, step) = (entry.attempt, entry.step);
                tracing::warn!(
                    ?attempt,
                    step,
                    reason,
                    "Update server refuses a report; it is dropped"
                );
            }
            Sent::Later(reason) => {
                tracing::debug!(reason, "Report cannot be sent yet");
                tokio::time::sleep(again).await;
                again = (again * 2).min(AGAIN.1);
                continue;
            }
        }
        base.reports.remember(entry.n);
        again = AGAIN.0;
    }
}

async fn send_one(base: &Shared, entry: &Entry) -> anyhow::Result<Sent> {
    let enrolment: Option<Enrolment> = load_json(&RealFs, &base.paths.enrolment())?;
    // Without an update server there is nobody to tell, now or later.
    let (Some(enrolment), Some(attempt)) = (enrolment, entry.attempt) else {
        return Ok(Sent::Taken);
    };
    let report = ReportRequest {
        appliance: enrolment.appliance,
        attempt,
        step: entry.step,
        state: entry.phase.clone(),
        text: entry.text.clone(),
        at: entry.at,
    };
    let body = serde_json::to_vec(&report)?;
    let key = enrol::key(&base.paths)?;
    let url = format!("{}/v1/report", enrolment.url);
    let answer = update_server::for_questions(&enrolment.pins)?
        .post(&url)
        .header(SIGNATURE_HEADER, sign_request(&body, &key))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    let status = answer.status();
    if !is_final(status) {
        return Ok(Sent::Later(format!("{url} answered {status}")));
    }
    if status.is_success() {
        return Ok(Sent::Taken);
    }
    let words = answer.bytes().await.unwrap_or_default();
    Ok(Sent::Refused(update_server::refusal(&url, status, &words)))
}

/// Whether sending the same report again would change nothing: it was taken, or it is refused for what it is.
fn is_final(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_success() || (status.is_client_error() && !passing.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_refused_for_what_it_is_is_not_sent_again() {
        for (status, done) in [
            (200, true),
            (204, true),
            (400, true),
            (403, true),
            (404, true),
            (422, true),
            (408, false),
            (429, false),
            (500, false),
            (502, false),
            (503, false),
            (304, false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(is_final(status), done, "{status}");
        }
    }
}
