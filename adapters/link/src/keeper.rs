//! Keeps a client linked: dials, pings, dials again, and moves when the site asks.
//!
//! The newest link is where new streams go. A link that the site asked to leave stays until the site
//! closes it, so that what is on it moves when both its ends are ready and not before.

use std::sync::Arc;
use std::time::Duration;

use model::PublicKey;
use session::{ControlStream, Frame, Message, MigrateReady, Ping, SiteHello, Welcome};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::{Backoff, Dialed, Dialer, Link, LinkError, LinkHandle, Reader, Stream, Writer};

/// How often a client asks whether the site is there.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A site that has said nothing for so long is not there.
const SILENCE_MAX: Duration = Duration::from_secs(35);

/// First and longest wait between tries.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// The wait after a site said that it does not know this client: somebody has to enrol it again or
/// to restore the site, and thousands of removed clients must not keep it busy until then.
const UNKNOWN_WAIT: Duration = Duration::from_mins(15);

/// A link and what the site said when it was made.
#[derive(Clone)]
pub struct Current {
    /// Counts the links of this keeper; a higher one is newer.
    pub number: u64,
    /// Host and port that were dialled.
    pub address: Arc<str>,
    /// Opens streams.
    pub handle: LinkHandle,
    /// What the site says of itself.
    pub site: SiteHello,
    /// The site's identity, proven.
    pub site_key: PublicKey,
    /// Who we are to it.
    pub welcome: Welcome,
    control: Writer,
}

impl Current {
    /// Says something on the link's control stream.
    ///
    /// # Errors
    /// When the link is closed.
    pub async fn tell(&self, message: impl Into<Message>) -> Result<(), LinkError> {
        self.control.message(message).await
    }
}

/// What a keeper tells of.
pub enum Event {
    /// A link is up.
    Up(Box<Current>),
    /// No link is up; the error of the last try.
    Down(Arc<LinkError>),
    /// The site opened a stream.
    Stream(Stream, u64),
    /// The site said something on the control stream that the keeper does not handle.
    Message(Message),
}

/// Keeps a client linked until it is dropped.
pub struct Keeper {
    newest: watch::Receiver<Option<Current>>,
    events: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

impl Keeper {
    /// Starts dialling.
    pub fn start(dialer: Dialer) -> Self {
        let (newest_tx, newest) = watch::channel(None);
        let (events_tx, events) = mpsc::channel(64);
        let work = Work { dialer, newest: Arc::new(newest_tx), events: events_tx, count: 0 };
        Self { newest, events, task: tokio::spawn(work.run()) }
    }

    /// The newest link; `None` while there is none.
    pub fn newest(&self) -> watch::Receiver<Option<Current>> {
        self.newest.clone()
    }

    /// What happened next. Streams of the site wait until they are taken.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(current) = &*self.newest.borrow() {
            current.handle.close();
        }
    }
}

/// Waits for a link that is up and newer than `after`.
///
/// `None` when the keeper is gone.
pub async fn newer_link(
    newest: &mut watch::Receiver<Option<Current>>,
    after: u64,
) -> Option<Current> {
    let is_newer = |current: &Option<Current>| {
        current.as_ref().is_some_and(|c| c.number > after && !c.handle.is_closed())
    };
    newest.wait_for(is_newer).await.ok()?.clone()
}

struct Work {
    dialer: Dialer,
    newest: Arc<watch::Sender<Option<Current>>>,
    events: mpsc::Sender<Event>,
    count: u64,
}

impl Work {
    async fn run(mut self) {
        let mut backoff = Backoff::new(WAITS.0, WAITS.1);
        let mut next = None;
        loop {
            let made = match next.take() {
                Some(made) => Ok(made),
                None => self.dial().await,
            };
            let (link, current, control) = match made {
                Ok(made) => made,
                Err(error) => {
                    let wait = if error.is_not_enrolled() {
                        backoff.next_wait().max(UNKNOWN_WAIT)
                    } else {
                        backoff.next_wait()
                    };
                    if self.events.send(Event::Down(Arc::new(error))).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(wait).await;
                    continue;
                }
            };
            backoff.reset();
            self.newest.send_replace(Some(current.clone()));
            if self.events.send(Event::Up(Box::new(current.clone()))).await.is_err() {
                return;
            }
            let (ask, mut asked) = mpsc::channel(1);
            let serving = serve(
                link,
                current.clone(),
                control,
                self.events.clone(),
                ask,
                self.newest.subscribe(),
            );
            let mut serving = tokio::spawn(serving);
            tokio::select! {
                _ = &mut serving => self.down(current.number).await,
                Some(()) = asked.recv() => next = self.move_from(&current, &mut serving).await,
            }
        }
    }

    async fn down(&self, number: u64) {
        let gone = |current: &mut Option<Current>| {
            let is_it = current.as_ref().is_some_and(|c| c.number == number);
            if is_it {
                *current = None;
            }
            is_it
        };
        if self.newest.send_if_modified(gone) {
            // Nobody listens any more: the next send notices.
            let _ = self.events.send(Event::Down(Arc::new(LinkError::Closed))).await;
        }
    }

    /// Dials another link while the old one goes on. When the old one breaks meanwhile, dialling
    /// goes on in the ordinary way.
    async fn move_from(
        &mut self,
        old: &Current,
        serving: &mut tokio::task::JoinHandle<()>,
    ) -> Option<Made> {
        let mut backoff = Backoff::new(WAITS.0, Duration::from_secs(1));
        loop {
            let made = tokio::select! {
                made = self.dial() => made,
                _ = &mut *serving => {
                    self.down(old.number).await;
                    return None;
                }
            };
            match made {
                Ok(made) => {
                    self.newest.send_replace(Some(made.1.clone()));
                    return Some(made);
                }
                Err(_) => tokio::time::sleep(backoff.next_wait()).await,
            }
        }
    }

    async fn dial(&mut self) -> Result<Made, LinkError> {
        let Dialed { link, site, site_key, welcome } = self.dialer.dial().await?;
        let handle = link.handle();
        let (reader, control) = handle.open()?.split();
        control.message(ControlStream {}).await?;
        self.count += 1;
        let current = Current {
            number: self.count,
            address: self.dialer.address.as_str().into(),
            handle,
            site,
            site_key,
            welcome,
            control: control.clone(),
        };
        Ok((link, current, reader))
    }
}

type Made = (Link, Current, Reader);

/// Tells the site on the old link when a link to another generation is up.
async fn say_when_ready(old: Current, mut newest: watch::Receiver<Option<Current>>) {
    let elsewhere = |current: &Option<Current>| {
        current.as_ref().is_some_and(|c| {
            c.number > old.number
                && c.site.generation != old.site.generation
                && !c.handle.is_closed()
        })
    };
    tokio::select! {
        found = newest.wait_for(elsewhere) => {
            if found.is_err() {
                return;
            }
        }
        () = old.handle.closed() => return,
    }
    // If the old link broke, its streams resume on the new one all the same.
    let _ = old.tell(MigrateReady {}).await;
}

/// Serves one link until it is closed.
async fn serve(
    mut link: Link,
    current: Current,
    mut control: Reader,
    events: mpsc::Sender<Event>,
    ask_to_move: mpsc::Sender<()>,
    newest: watch::Receiver<Option<Current>>,
) {
    let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut heard = Instant::now();
    let mut number = 0;
    loop {
        tokio::select! {
            stream = link.accept() => {
                let Some(stream) = stream else { return };
                if events.send(Event::Stream(stream, current.number)).await.is_err() {
                    return;
                }
            }
            received = control.next() => {
                let Ok(Some(received)) = received else { break };
                heard = Instant::now();
                let Frame::Message(message) = received.frame else { continue };
                match message {
                    Message::Pong(_) => {}
                    Message::Migrate(_) => {
                        // Asked twice means the same; a link that was left before asks nobody.
                        let _ = ask_to_move.try_send(());
                        tokio::spawn(say_when_ready(current.clone(), newest.clone()));
                    }
                    Message::Bye(_) => break,
                    other => {
                        if events.send(Event::Message(other)).await.is_err() {
                            return;
                        }
                    }
                }
            }
            _ = pings.tick() => {
                number += 1;
                if heard.elapsed() > SILENCE_MAX || current.tell(Ping { number }).await.is_err() {
                    break;
                }
            }
        }
    }
    current.handle.close();
    // What the site opened before the end may still wait.
    while let Some(stream) = link.accept().await {
        if events.send(Event::Stream(stream, current.number)).await.is_err() {
            return;
        }
    }
}
