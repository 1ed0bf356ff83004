//! Serving: the link to the site and the sessions on it.
//!
//! [`run`] keeps the agent linked, starts what sessions need, and resumes their legs wherever the
//! site answers. It can be frozen into bytes and descriptors for the next program image
//! ([`Order::Freeze`]) and thawed again when that image does not start.

mod legs;
mod pace;
mod pumps;
mod saved;
mod session;
mod table;

use std::sync::Arc;

use ::session::{AgentStatus, Message, Refused, RefusedCode, UpgradeAvailable};
use anyhow::Result;
use link::{Dialer, Event, Keeper, LinkError};
use model::AgentId;
use tokio::sync::{mpsc, oneshot};

pub use saved::{Inherited, State};
pub use table::Table;

/// What serving needs.
pub struct Context {
    /// How to reach the site, and as whom.
    pub dialer: Dialer,
    /// Sessions of the program image before this one.
    pub inherited: Option<Inherited>,
    /// Where it tells what happens.
    pub news: mpsc::Sender<News>,
    /// What it is told to do.
    pub orders: mpsc::Receiver<Order>,
}

/// What serving tells.
#[derive(Debug)]
pub enum News {
    /// A link is up.
    Up {
        /// The agent's id, as the site knows it.
        id: Option<AgentId>,
        /// Its name there.
        name: String,
        /// Version and revision of the site.
        site: (String, u32),
    },
    /// No link; the last try's error.
    Down(Arc<LinkError>),
    /// The site has another version for this agent.
    Upgrade(UpgradeAvailable),
    /// This many sessions run now.
    Sessions(usize),
    /// Every inherited session was resumed at the site, or had the time for it.
    Resumed,
}

/// What serving is told.
pub enum Order {
    /// Stop moving bytes and answer everything that the next program image needs. Nothing else
    /// changes until [`Order::Thaw`].
    Freeze(oneshot::Sender<Result<State>>),
    /// Go on as before: the next image did not start.
    Thaw,
    /// Tell the site how an upgrade goes.
    Report(AgentStatus),
    /// Leave: close the link, hang the sessions up.
    Stop,
}

/// Serves until told to stop.
///
/// # Errors
/// When inherited sessions cannot be taken over at all.
pub async fn run(mut context: Context) -> Result<()> {
    let mut keeper = Keeper::start(context.dialer.clone());
    let table = Table::new(keeper.newest(), context.news.clone());
    if let Some(inherited) = context.inherited.take() {
        table.adopt(inherited)?;
    }
    tokio::spawn(tell_resumed(table.clone(), context.news.clone()));
    loop {
        tokio::select! {
            event = keeper.next() => {
                let Some(event) = event else { return Ok(()) };
                handle_event(&table, &context.news, event).await;
            }
            order = context.orders.recv() => {
                match order {
                    None | Some(Order::Stop) => break,
                    Some(order) => handle_order(&table, &keeper, order).await,
                }
            }
        }
    }
    table.stop().await;
    Ok(())
}

async fn tell_resumed(table: Arc<Table>, news: mpsc::Sender<News>) {
    table.resumed().await;
    // Nobody waits for it any more when it cannot be told.
    let _ = news.send(News::Resumed).await;
}

async fn handle_event(table: &Arc<Table>, news: &mpsc::Sender<News>, event: Event) {
    match event {
        Event::Up(current) => {
            let id = current.welcome.id.as_deref().and_then(|id| id.try_into().ok());
            let up = News::Up {
                id: id.map(AgentId::from_bytes),
                name: current.welcome.name.clone(),
                site: (current.site.version.clone(), current.site.revision),
            };
            let _ = news.send(up).await;
        }
        Event::Down(error) => {
            let _ = news.send(News::Down(error)).await;
        }
        Event::Message(Message::UpgradeAvailable(upgrade)) => {
            let _ = news.send(News::Upgrade(upgrade)).await;
        }
        Event::Message(_) => {}
        Event::Stream(stream, link) => {
            let table = table.clone();
            tokio::spawn(async move { serve_stream(&table, stream, link).await });
        }
    }
}

async fn serve_stream(table: &Arc<Table>, stream: link::Stream, link: u64) {
    let (mut reader, writer) = stream.split();
    match reader.message().await {
        Ok(Message::StartSession(start)) => table.start(start, reader, writer, link).await,
        Ok(_) => {
            let text = "this agent does not know what that stream is for";
            let _ = writer.message(Refused::new(RefusedCode::Other, text)).await;
            writer.close();
        }
        Err(_) => {}
    }
}

async fn handle_order(table: &Arc<Table>, keeper: &Keeper, order: Order) {
    match order {
        Order::Freeze(answer) => {
            // Whoever asked is gone: then nobody goes on with it either.
            if answer.send(table.freeze().await).is_err() {
                table.thaw();
            }
        }
        Order::Thaw => table.thaw(),
        Order::Report(status) => {
            let current = keeper.newest().borrow().clone();
            if let Some(current) = current {
                let _ = current.tell(status).await;
            }
        }
        Order::Stop => {}
    }
}
