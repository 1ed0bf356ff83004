//! A console made by hand: its frames one by one, where a test decides what it says and what it reads.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use link::{ClientKind, Dialed, Dialer, LinkError, LinkHandle, Reader, Writer};
use model::SessionId;
use session::{Channel, ChosenId, Exit, Finished, Frame, Message, OpenSession};

use crate::rig::{Profile, Rig};

/// A site of one generation with the agent `web-1` and the operator `ada`.
pub struct Stage {
    /// The site.
    pub rig: Rig,
    /// What the generation runs.
    pub package: PathBuf,
    /// Its number.
    pub generation: u64,
    /// The operator.
    pub ada: Profile,
}

impl Stage {
    /// Starts them.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn on(mut rig: Rig) -> Result<Self> {
        let package = rig.package("1.0.0", 1, 1)?;
        rig.migrate(&package)?;
        let generation = rig.start(&package)?;
        rig.control(generation, "POST", "activate")?;
        let ada = rig.operator("ada")?;
        let token = rig.enrolment_token()?;
        rig.agent("web-1", &token)?;
        rig.wait_agents(generation, 1, Duration::from_secs(30))?;
        Ok(Self { rig, package, generation, ada })
    }

    /// A link as that operator's console makes it.
    ///
    /// # Errors
    /// When the site cannot be reached or refuses.
    pub async fn dial(&self, console: &Profile) -> Result<Dialed> {
        let key = link::load_or_create_key(&console.home().join("console.key"))?;
        let dialer = Dialer {
            address: self.rig.address().to_string(),
            kind: ClientKind::Console,
            key: std::sync::Arc::new(key),
            pinned: vec![self.rig.identity()?],
            name: "test".into(),
            software: "1.0.0".into(),
            revision: 1,
            token: None,
            tls: link::client_config(),
        };
        Ok(dialer.dial().await?)
    }
}

/// What asks for a command on `web-1`, on pipes.
pub fn ask(id: SessionId, command: &str) -> OpenSession {
    OpenSession {
        target: "web-1".into(),
        command: Some(command.to_owned()),
        columns: 80,
        rows: 24,
        term: "dumb".into(),
        terminal: false,
        session: Some(ChosenId(id)),
    }
}

/// Asks for a session; the answer is to be read.
///
/// # Errors
/// When the link breaks.
pub async fn send(link: &LinkHandle, ask: &OpenSession) -> Result<(Reader, Writer), LinkError> {
    let (reader, writer) = link.open()?.split();
    writer.message(ask.clone()).await?;
    Ok((reader, writer))
}

/// Reads a session from that offset to its end as a console does; answers what it printed and how it ended.
/// `came` hears how far it is.
///
/// # Errors
/// When the link breaks, a byte is missing or doubled, or the session ends without an exit.
pub async fn to_its_end(
    mut reader: Reader,
    writer: Writer,
    from: u64,
    mut came: impl FnMut(u64),
) -> Result<(Vec<u8>, Exit)> {
    let (mut shown, mut next) = (Vec::new(), from);
    let mut exit: Option<Exit> = None;
    while let Some(received) = reader.next().await? {
        match received.frame {
            Frame::Data { channel: Channel::Output, offset, bytes } => {
                ensure!(offset == next, "byte {next} is due and {offset} came");
                shown.extend_from_slice(&bytes);
                next += bytes.len() as u64;
                came(next);
                writer.ack(next).await?;
            }
            Frame::Message(Message::Exit(ended)) => exit = Some(ended),
            Frame::Message(Message::Finished(_)) => break,
            _ => {}
        }
        if exit.as_ref().is_some_and(|exit| exit.offset == next) {
            writer.message(Finished {}).await?;
        }
    }
    Ok((shown, exit.context("the session ended without an exit")?))
}
