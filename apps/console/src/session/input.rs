use std::sync::Arc;

use ::session::Channel;

use super::state::State;
use crate::os;
use crate::stdio::Input;

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
    let mut stdin = Input::open();
    loop {
        wait_for_room(&state).await;
        // An input that fails is an input that ends.
        let bytes = stdin.read().await.unwrap_or_default();
        let ended = bytes.is_empty();
        let mut inner = state.inner();
        if ended {
            inner.input_end = Some(inner.outbox.head());
        } else {
            inner.outbox.push(Channel::Input, bytes);
        }
        drop(inner);
        state.wake.notify_one();
        if ended {
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
