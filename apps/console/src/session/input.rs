use std::sync::Arc;

use ::session::Channel;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::state::State;
use crate::os;

/// Read at most at once.
const READ_MAX: usize = 32 * 1024;

/// Reads what the operator types, and the terminal's size when it changes.
pub fn start(state: Arc<State>, on_terminal: bool) {
    if on_terminal {
        tokio::spawn(watch_size(state.clone()));
    }
    tokio::spawn(read(state));
}

async fn watch_size(state: Arc<State>) {
    let Ok(mut resizes) = os::resizes() else { return };
    loop {
        resizes.next().await;
        state.inner().size = os::terminal_size();
        state.wake.notify_one();
    }
}

async fn read(state: Arc<State>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = BytesMut::new();
    loop {
        wait_for_room(&state).await;
        buffer.reserve(READ_MAX);
        // An input that fails is an input that ends.
        let n = stdin.read_buf(&mut buffer).await.unwrap_or(0);
        let mut inner = state.inner();
        if n == 0 {
            inner.input_end = Some(inner.outbox.head());
        } else {
            inner.outbox.push(Channel::Input, buffer.split().freeze());
        }
        drop(inner);
        state.wake.notify_one();
        if n == 0 {
            return;
        }
    }
}

async fn wait_for_room(state: &State) {
    loop {
        let room = state.room.notified();
        if state.inner().outbox.room() > 0 {
            return;
        }
        room.await;
    }
}
