//! A small web server for directories, which can also misbehave.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a file is served whose path ends in some text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes without end after those of the file.
    Endless,
    /// One byte at a time, with this pause after each.
    Drip(Duration),
    /// Connected, and then silent.
    Silent,
    /// Breaks off after so many bytes of every answer.
    Cut(usize),
    /// The whole file whatever range was asked for.
    NoRange,
}

#[derive(Debug, Default)]
struct State {
    directory: PathBuf,
    modes: HashMap<String, Mode>,
    requests: Vec<String>,
}

/// Serves one directory on a port of 127.0.0.1 until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    /// Serves this directory from now on, well behaved.
    pub fn directory(&self, directory: &Path) {
        let mut state = self.state.lock().expect("no panic");
        *state = State { directory: directory.to_owned(), ..State::default() };
    }

    /// Misbehaves on paths that end so.
    pub fn mode(&self, suffix: &str, mode: Mode) {
        self.state.lock().expect("no panic").modes.insert(suffix.to_owned(), mode);
    }

    /// Behaves again.
    pub fn behave(&self) {
        self.state.lock().expect("no panic").modes.clear();
    }

    /// What was asked for, with the range if there was one; forgets it.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().expect("no panic").requests)
    }

    pub fn metadata_url(&self) -> String {
        format!("http://{}/metadata", self.address)
    }

    pub fn targets_url(&self) -> String {
        format!("http://{}/targets/", self.address)
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let mut path = String::new();
    let mut range = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end();
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if let Some(from) = line.to_lowercase().strip_prefix("range: bytes=") {
            range = from.trim_end_matches('-').parse().unwrap_or(0);
        } else if line.is_empty() {
            break;
        }
    }
    // A client that hangs up is no failure of the server.
    let _ = answer(&mut stream, &path, range, &state).await;
}

async fn answer(
    stream: &mut BufReader<TcpStream>,
    path: &str,
    range: usize,
    state: &Arc<Mutex<State>>,
) -> std::io::Result<()> {
    let (file, mode) = {
        let mut state = state.lock().expect("no panic");
        let asked = if range > 0 { format!("{path} from {range}") } else { path.to_owned() };
        state.requests.push(asked);
        let mode = state.modes.iter().find(|(suffix, _)| path.ends_with(*suffix));
        (state.directory.join(decode(path).trim_start_matches('/')), mode.map(|(_, mode)| *mode))
    };
    let Ok(content) = tokio::fs::read(&file).await else {
        let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(head.as_bytes()).await;
    };
    let from = if mode == Some(Mode::NoRange) { 0 } else { range };
    if from > 0 && from >= content.len() {
        let head =
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(head.as_bytes()).await;
    }
    let part = &content[from..];
    let mut head = if from > 0 {
        let (last, all) = (content.len() - 1, content.len());
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{last}/{all}\r\n")
    } else {
        "HTTP/1.1 200 OK\r\n".to_owned()
    };
    if mode != Some(Mode::Endless) {
        head = format!("{head}Content-Length: {}\r\n", part.len());
    }
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await?;
    match mode {
        None | Some(Mode::NoRange) => stream.write_all(part).await,
        Some(Mode::Cut(length)) => stream.write_all(&part[..length.min(part.len())]).await,
        Some(Mode::Silent) => std::future::pending().await,
        Some(Mode::Drip(pause)) => {
            for byte in part {
                stream.write_all(&[*byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(pause).await;
            }
            Ok(())
        }
        Some(Mode::Endless) => {
            stream.write_all(part).await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?;
            }
        }
    }?;
    stream.shutdown().await
}

fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let text = std::str::from_utf8(&digits).expect("two digits");
                bytes.push(u8::from_str_radix(text, 16).expect("two hexadecimal digits"));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
