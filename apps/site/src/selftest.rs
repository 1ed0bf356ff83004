//! The synthetic session: operator → site → endpoint → bytes → recording, over real links to this
//! very generation, before and while it serves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use link::{ClientKind, Dialed, Dialer, Reader, Stream, Writer};
use model::{AgentId, OperatorId, PublicKey, Release, SessionId};
use session::{Channel, Exit, Finished, Frame, Message, OpenSession, Opened, SigningKey};
use tokio::net::TcpListener;

use crate::clock::now;
use crate::hub::Peer;
use crate::serve::Site;

/// A self-test that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(20);

const GREETING: &[u8] = b"sluis self-test\r\n";

/// Keys and rows of those who take part.
pub struct SelfTest {
    agent: SeedKey,
    console: SeedKey,
    actors: Mutex<Option<(OperatorId, AgentId)>>,
}

struct SeedKey {
    seed: [u8; 32],
    public: PublicKey,
}

impl SeedKey {
    fn draw() -> Result<Self> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).ok().context("the system has no randomness")?;
        let public = SigningKey::from_seed(&seed)?.public();
        Ok(Self { seed, public })
    }

    fn key(&self) -> Result<Arc<SigningKey>> {
        Ok(Arc::new(SigningKey::from_seed(&self.seed)?))
    }
}

impl SelfTest {
    /// Draws the keys; they live as long as this process.
    pub fn new() -> Result<Self> {
        Ok(Self { agent: SeedKey::draw()?, console: SeedKey::draw()?, actors: Mutex::default() })
    }

    fn actors(&self) -> Option<(OperatorId, AgentId)> {
        *self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who that key is in the self-test.
    pub fn peer(&self, key: &PublicKey, release: &Release) -> Option<Peer> {
        let (_, id) = self.actors()?;
        if *key == self.agent.public {
            return Some(Peer::Agent {
                id,
                name: format!("self-test {id}"),
                release: release.clone(),
            });
        }
        (*key == self.console.public).then_some(Peer::Console { operator: None, key: *key })
    }

    /// The operator, if that key is the self-test's console.
    pub fn operator(&self, key: &PublicKey) -> Option<(OperatorId, String)> {
        let (operator, _) = self.actors()?;
        (*key == self.console.public).then(|| (operator, "self-test".to_owned()))
    }

    /// Whether that agent is the self-test's.
    pub fn is_agent(&self, wanted: AgentId) -> bool {
        self.actors().is_some_and(|(_, id)| id == wanted)
    }
}

/// Runs one synthetic session.
///
/// # Errors
/// Says which part did not work.
pub async fn run(site: &Arc<Site>) -> Result<String> {
    tokio::time::timeout(LIMIT, try_run(site)).await.map_err(|_| {
        anyhow::anyhow!("the synthetic session did not end within {} s", LIMIT.as_secs())
    })?
}

async fn try_run(site: &Arc<Site>) -> Result<String> {
    let actors = site
        .store
        .self_test_actors(&site.self_test.agent.public, &site.settings.release, now())
        .await
        .context("the database does not take the self-test's rows")?;
    *site.self_test.actors.lock().unwrap_or_else(PoisonError::into_inner) =
        Some((actors.operator, actors.agent));
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port on loopback")?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(accept_two(site.clone(), listener));
    let agent = dial(site, &address, ClientKind::Agent, &site.self_test.agent).await?;
    let endpoint = tokio::spawn(be_endpoint(agent));
    // The welcome goes out a moment before the agent can be found.
    site.hub.wait_for(actors.agent, LIMIT).await.context("the self-test's agent has no link")?;
    let console = dial(site, &address, ClientKind::Console, &site.self_test.console).await?;
    let session = be_operator(&console, actors.agent).await?;
    console.link.handle().close();
    endpoint.abort();
    check_recording(site, session).await?;
    Ok("a session was opened, typed into, answered, closed and recorded".to_owned())
}

async fn accept_two(site: Arc<Site>, listener: TcpListener) {
    for _ in 0..2 {
        let Ok((tcp, from)) = listener.accept().await else { return };
        let site = site.clone();
        tokio::spawn(async move {
            if let Ok(link::Accepted::Link(request)) = site.acceptor.accept(tcp, from).await {
                crate::links::serve(site, request).await;
            }
        });
    }
}

async fn dial(site: &Site, address: &str, kind: ClientKind, key: &SeedKey) -> Result<Dialed> {
    let dialer = Dialer {
        address: address.to_owned(),
        kind,
        key: key.key()?,
        pinned: vec![site.identity],
        name: "self-test".to_owned(),
        software: site.settings.release.version.to_string(),
        revision: site.settings.release.revision.0,
        token: None,
        tls: link::client_config(),
    };
    dialer.dial().await.with_context(|| format!("the self-test's {kind:?} gets no link"))
}

/// The built-in endpoint: greets, echoes one line, exits with status 7.
async fn be_endpoint(mut agent: Dialed) {
    while let Some(stream) = agent.link.accept().await {
        tokio::spawn(async move {
            if let Err(error) = echo_one_line(stream).await {
                tracing::warn!(error = format!("{error:#}"), "The self-test's endpoint failed");
            }
        });
    }
}

async fn echo_one_line(stream: Stream) -> Result<()> {
    let (mut reader, writer) = stream.split();
    let Message::StartSession(start) = reader.message().await? else {
        bail!("no session was asked for")
    };
    let opened = Opened { session: start.session, ticket: Vec::new(), endpoint: String::new() };
    writer.message(opened).await?;
    writer.data(Channel::Output, 0, GREETING).await?;
    let mut offset = GREETING.len() as u64;
    while let Some(received) = reader.next().await? {
        match received.frame {
            Frame::Data { channel: Channel::Input, offset: at, bytes } => {
                writer.ack(at + bytes.len() as u64).await?;
                writer.data(Channel::Output, offset, &bytes).await?;
                offset += bytes.len() as u64;
                if bytes.ends_with(b"\n") {
                    let exit = Exit { status: Some(7), signal: None, offset, reason: None };
                    writer.message(exit).await?;
                }
            }
            Frame::Message(Message::Finished(_)) => break,
            _ => {}
        }
    }
    Ok(())
}

async fn be_operator(console: &Dialed, endpoint: AgentId) -> Result<SessionId> {
    let (mut reader, writer) = console.link.handle().open()?.split();
    let ask = OpenSession {
        target: endpoint.to_string(),
        command: None,
        columns: 80,
        rows: 24,
        term: "dumb".to_owned(),
        terminal: true,
        session: None,
    };
    writer.message(ask).await?;
    let session = match reader.message().await.context("no answer to opening a session")? {
        Message::Opened(opened) => opened.session,
        Message::Refused(refused) => bail!("the session was refused: {}", refused.text),
        other => bail!("an odd answer to opening a session: {other:?}"),
    };
    let line = format!("line of {session}\n");
    writer.data(Channel::Input, 0, line.as_bytes()).await?;
    let shown = read_to_exit(&mut reader, &writer).await?;
    let expected = [GREETING, line.as_bytes()].concat();
    ensure!(shown == expected, "other bytes came back than were sent");
    Ok(session)
}

async fn read_to_exit(reader: &mut Reader, writer: &Writer) -> Result<Vec<u8>> {
    let mut shown = Vec::new();
    let mut exit: Option<Exit> = None;
    while let Some(received) = reader.next().await? {
        match received.frame {
            Frame::Data { channel: Channel::Output, offset, bytes } => {
                ensure!(
                    offset == shown.len() as u64,
                    "output came at {offset}, not {}",
                    shown.len()
                );
                shown.extend_from_slice(&bytes);
                writer.ack(shown.len() as u64).await?;
            }
            Frame::Message(Message::Exit(came)) => exit = Some(came),
            _ => {}
        }
        if let Some(exit) = &exit
            && exit.offset == shown.len() as u64
        {
            ensure!(exit.status == Some(7), "the exit status was lost: {exit:?}");
            writer.message(Finished {}).await?;
            writer.close();
            return Ok(shown);
        }
    }
    bail!("the session ended before its exit came")
}

async fn check_recording(site: &Arc<Site>, session: SessionId) -> Result<()> {
    let dir = site.settings.recordings();
    // The relay finishes the recording after the console's last word; its end is an event of the file.
    let finished = async {
        loop {
            let dir = dir.clone();
            let verified =
                tokio::task::spawn_blocking(move || terminal::verify(&dir, session)).await;
            match verified {
                Ok(Ok(verified)) if verified.ending.is_some() => return Ok(()),
                Ok(Ok(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(Err(error)) => return Err(anyhow::Error::new(error)),
                Err(panicked) => return Err(panicked.into()),
            }
        }
    };
    finished.await.context("the recording is not in order")
}
