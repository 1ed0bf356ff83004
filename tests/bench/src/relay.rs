//! The anchor for the site's processor time: a process that does the least a site must for a session's output.
//!
//! It takes TLS from one who dialled in and gives it to another who did, with the same library and the same
//! ciphers as the site, and knows nothing of streams, sessions or policy. Besides, it may keep what it passes
//! on in a file with its BLAKE3, which is the least that a recording is. What the site needs more is ours.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::process;

/// How much is taken and given at once.
const PIECE: usize = 64 * 1024;

/// What passing bytes on took.
pub struct Cost {
    /// Processor time of the relay.
    pub cpu: Duration,
    /// From the first byte to the last one.
    pub took: Duration,
}

/// Has the relay pass `bytes` on, made of `piece` again and again; it keeps them in `record` if there is such
/// a file.
///
/// # Errors
/// When the relay does not start, or bytes do not arrive.
pub fn pass(piece: &[u8], bytes: u64, record: Option<&Path>) -> Result<Cost> {
    let mut relay = Relay::start(record)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let took = runtime.block_on(async {
        // It gives to the first and takes from the second.
        let mut sink = connect(relay.address).await?;
        let mut source = connect(relay.address).await?;
        let piece = piece.repeat(PIECE / piece.len());
        let pieces = bytes / piece.len() as u64;
        let writing = tokio::spawn(async move {
            for _ in 0..pieces {
                source.write_all(&piece).await?;
            }
            source.shutdown().await?;
            // Whoever closes with something unread, such as a ticket, takes back what is under way.
            source.read(&mut [0]).await
        });
        let (mut came, mut buffer) = (0, vec![0; PIECE]);
        let began = Instant::now();
        loop {
            match sink.read(&mut buffer).await? {
                0 => break,
                n => came += n as u64,
            }
        }
        let took = began.elapsed();
        writing.await??;
        ensure!(came + PIECE as u64 > bytes, "{came} bytes came of {bytes}");
        anyhow::Ok(took)
    })?;
    Ok(Cost { cpu: relay.finish()?, took })
}

/// The relay as a process of its own, so that its processor time can be told from ours.
struct Relay {
    child: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(record: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("relay").args(record).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the relay has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { address: line.trim().parse().context("the relay says no address")?, child })
    }

    /// What it used. It waits to be told before it ends, since who is gone has no processor time.
    fn finish(&mut self) -> Result<Duration> {
        let used = process::cpu(self.child.id())?;
        drop(self.child.stdin.take());
        ensure!(self.child.wait()?.success(), "the relay failed");
        Ok(used)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(address: SocketAddr) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(link::client_config()).connect(name, tcp).await?)
}

/// Is the relay: `sluis-bench relay [FILE]`, which says its address, relays once, and ends with its input.
///
/// # Errors
/// When an end breaks off, or the file cannot be written.
pub fn run(record: Option<&Path>) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = TlsAcceptor::from(link::server_config(certificate.as_bytes(), key.as_bytes())?);
    // As many threads as a site has.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        let mut sink = tls.accept(listener.accept().await?.0).await?;
        let mut source = tls.accept(listener.accept().await?.0).await?;
        let mut record = record.map(Record::create).transpose()?;
        let mut buffer = vec![0; PIECE];
        loop {
            let n = source.read(&mut buffer).await?;
            if n == 0 {
                break;
            }
            sink.write_all(&buffer[..n]).await?;
            if let Some(record) = &mut record {
                record.append(&buffer[..n])?;
            }
        }
        sink.shutdown().await?;
        source.shutdown().await?;
        anyhow::Ok(())
    })?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

struct Record {
    file: File,
    hasher: blake3::Hasher,
    waiting: Vec<u8>,
}

impl Record {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { file, hasher: blake3::Hasher::new(), waiting: Vec::with_capacity(3 * PIECE) })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= 2 * PIECE {
            self.hasher.update(&self.waiting);
            self.file.write_all(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}
