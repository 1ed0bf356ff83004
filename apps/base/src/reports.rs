//! Tells the update server how installs go. A report that cannot be sent changes nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use host::{RealFs, load_json};
use release::offer::{ReportRequest, SIGNATURE_HEADER, sign_request};
use tokio::sync::Notify;

use crate::base::Shared;
use crate::enrol::{self, Enrolment};
use crate::log::Entry;
use crate::trust::http_client;

/// Reports that wait at most; older ones are dropped.
const WAITING_MAX: usize = 500;
/// How long to wait after a report could not be sent, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));

/// Reports that wait to be sent.
#[derive(Default)]
pub struct Reports {
    waiting: Mutex<VecDeque<(u32, Entry)>>,
    added: Notify,
}

impl Reports {
    /// Lets an entry of an attempt be told, with its number within the attempt.
    ///
    /// Telling one again is harmless: the update server knows it by attempt and number.
    pub fn add(&self, step: u32, entry: Entry) {
        if entry.attempt.is_none() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((step, entry));
        if waiting.len() > WAITING_MAX {
            waiting.pop_front();
        }
        self.added.notify_one();
    }

    fn first(&self) -> Option<(u32, Entry)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    fn sent(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }
}

/// Sends reports for as long as the base runs.
pub async fn send(base: Shared) {
    let mut again = AGAIN.0;
    loop {
        let Some((step, entry)) = base.reports.first() else {
            base.reports.added.notified().await;
            continue;
        };
        match send_one(&base, step, &entry).await {
            Ok(()) => {
                base.reports.sent();
                again = AGAIN.0;
            }
            Err(error) => {
                tracing::debug!(%error, "Report cannot be sent yet");
                tokio::time::sleep(again).await;
                again = (again * 2).min(AGAIN.1);
            }
        }
    }
}

async fn send_one(base: &Shared, step: u32, entry: &Entry) -> anyhow::Result<()> {
    let enrolment: Option<Enrolment> = load_json(&RealFs, &base.paths.enrolment())?;
    let (Some(enrolment), Some(attempt)) = (enrolment, entry.attempt) else { return Ok(()) };
    let report = ReportRequest {
        appliance: enrolment.appliance,
        attempt,
        step,
        state: entry.phase.clone(),
        text: entry.text.clone(),
        at: entry.at,
    };
    let body = serde_json::to_vec(&report)?;
    let key = enrol::key(&base.paths)?;
    let answer = http_client()?
        .post(format!("{}/v1/report", enrolment.url))
        .header(SIGNATURE_HEADER, sign_request(&body, &key))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    // A server that refuses a report would refuse it again.
    anyhow::ensure!(
        !answer.status().is_server_error(),
        "the update server answered {}",
        answer.status()
    );
    Ok(())
}
