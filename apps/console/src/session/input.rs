use std::sync::Arc;
use std::time::Duration;

use ::session::Channel;
use bytes::Bytes;

use super::state::State;
use crate::os;
use crate::stdio::Input;

/// How long the last word may take to go out when the operator leaves in a hurry.
const LEAVE: Duration = Duration::from_millis(500);

/// Reads what the operator types, and the terminal's size when it changes.
pub fn start(state: Arc<State>, on_terminal: bool) {
    if on_terminal {
        tokio::spawn(watch_size(state.clone()));
    } else {
        tokio::spawn(pass_signals_on(state.clone()));
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

/// Passes signals on to the remote process; on a terminal in raw mode they are typed instead.
///
/// The second one within a command ends it: the first may not have been heard by the process, or
/// the endpoint is away.
async fn pass_signals_on(state: Arc<State>) {
    let Ok(mut signals) = os::Signals::new() else { return };
    let first = signals.next().await;
    state.inner().signal(first);
    state.wake.notify_one();
    let second = signals.next().await;
    state.inner().close = true;
    state.wake.notify_one();
    eprintln!("sluis: the remote command is ended");
    tokio::time::sleep(LEAVE).await;
    std::process::exit(128 + i32::from(second));
}

async fn read(state: Arc<State>) {
    let mut stdin = Input::open();
    loop {
        wait_for_room(&state).await;
        // An input that fails is an input that ends.
        let bytes = stdin.read().await.unwrap_or_default();
        let ended = bytes.is_empty();
        keep(&state, bytes);
        state.wake.notify_one();
        if ended {
            return;
        }
        // First it is sent: to look for more takes a system call, which mostly finds nothing.
        tokio::task::yield_now().await;
    }
}

/// Keeps what was typed until it is acknowledged; nothing is the end of the input.
fn keep(state: &State, bytes: Bytes) {
    let mut inner = state.inner();
    if bytes.is_empty() {
        inner.input_end = Some(inner.outbox.head());
    } else {
        inner.outbox.push(Channel::Input, bytes);
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
