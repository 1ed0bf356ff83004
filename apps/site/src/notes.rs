//! Notes for the database, written many at a time and never in anybody's way.

use std::time::Duration;

use model::Timestamp;
use store::{Note, Store};
use tokio::sync::{mpsc, oneshot};

use crate::clock::now;

/// Notes that may wait. When more come, whoever brings one waits, beside the link or session it is about.
const WAITING_MAX: usize = 16 * 1024;

/// Notes in one commit: few enough that another writer's turn comes soon on a machine that is busy.
const AT_ONCE: usize = 32;

/// How often a commit is tried while the other generation writes, each time for as long as the store waits.
const TRIES: u32 = 5;

/// Where notes are handed in; clones share one queue.
#[derive(Clone)]
pub struct Notes(mpsc::Sender<Item>);

enum Item {
    Note(Note, Timestamp),
    Flush(oneshot::Sender<()>),
}

impl Notes {
    /// Begins writing down what is handed in.
    pub fn start(store: Store) -> Self {
        let (sender, items) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(store, items));
        Self(sender)
    }

    /// Hands in a note; it counts from now, whenever it is written.
    pub async fn add(&self, note: Note) {
        // The writer ends with the process.
        let _ = self.0.send(Item::Note(note, now())).await;
    }

    /// Waits until everything that was handed in before has been written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.0.send(Item::Flush(done)).await.is_ok() {
            let _ = written.await;
        }
    }
}

async fn write(store: Store, mut items: mpsc::Receiver<Item>) {
    let mut batch = Vec::new();
    while items.recv_many(&mut batch, AT_ONCE).await > 0 {
        let (mut notes, mut waiting) = (Vec::new(), Vec::new());
        for item in batch.drain(..) {
            match item {
                Item::Note(note, at) => notes.push((note, at)),
                Item::Flush(done) => waiting.push(done),
            }
        }
        if !notes.is_empty() {
            write_down(&store, &notes).await;
        }
        for done in waiting {
            // Whoever asked may not wait any more.
            let _ = done.send(());
        }
    }
}

async fn write_down(store: &Store, notes: &[(Note, Timestamp)]) {
    for _ in 0..TRIES {
        match store.write_down(notes).await {
            Ok(()) => return,
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, notes = notes.len(), "Notes wait for the database");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(_) => break,
        }
    }
    // One that cannot be written does not cost the others.
    for note in notes {
        if let Err(error) = store.write_down(std::slice::from_ref(note)).await {
            tracing::error!(%error, note = ?note.0, "Not in the database");
        }
    }
}
