//! What a change of version costs those who are connected: our hand-over beside the reload of two
//! well-known proxies, in front of a server that sends each connection a numbered line every 10 ms.
//!
//! A reload starts new processes and lets the old ones finish what they have, for a while: after
//! [`GRACE`] they drop it. Without that limit the old processes, and the old version, stay for as long
//! as the longest session.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluis_e2e::load::{self, percentile};
use sluis_e2e::rig::Rig;
use tempfile::TempDir;

use crate::row;

/// Connections, or sessions, that are held.
const HELD: usize = 50;
/// Between two lines on each.
const PAUSE: Duration = Duration::from_millis(10);
/// How long old processes of a proxy may finish what they have.
const GRACE: Duration = Duration::from_secs(5);
/// How long after the change is looked at.
const WINDOW: Duration = Duration::from_secs(10);

/// Measures and prints.
///
/// # Errors
/// When a side does not work.
pub fn measure() -> Result<()> {
    let ours = hand_over()?;
    let backend = tick_for_everybody()?;
    for (name, proxy) in [("nginx", nginx as Start), ("HAProxy", haproxy)] {
        let folder = TempDir::new()?;
        let listen = free_address()?;
        let anchor = held_over_a_reload(proxy(folder.path(), listen, backend)?, listen)?;
        let what = format!("dropped of {HELD} held, change; anchor {name} reload");
        row(&what, "", ours.dropped as f64, Some(anchor.dropped as f64));
        let what = format!("worst stall over it; anchor {name} until it drops");
        row(&what, "ms", millis(ours.worst), Some(millis(anchor.worst)));
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What those who were connected noticed.
struct Noticed {
    dropped: usize,
    worst: Duration,
}

/// Sessions over a hand-over to a version with a schema change.
fn hand_over() -> Result<Noticed> {
    let mut rig = Rig::new()?;
    let (old, new) = (rig.package("1.0.0", 1, 1)?, rig.package("1.1.0", 2, 2)?);
    rig.migrate(&old)?;
    let first = rig.start(&old)?;
    rig.control(first, "POST", "activate")?;
    let console = rig.operator("ada")?;
    let token = rig.enrolment_token()?;
    for name in ["web-1", "web-2"] {
        rig.agent(name, &token)?;
    }
    rig.wait_agents(first, 2, Duration::from_secs(30))?;
    let stop = rig.path("stop");
    let mut sessions = (0..HELD)
        .map(|i| load::tick_until(&console, ["web-1", "web-2"][i % 2], 10, &stop))
        .collect::<Result<Vec<_>>>()?;
    for session in &mut sessions {
        session.wait_running()?;
    }
    rig.migrate(&new)?;
    rig.hand_over(first, &new)?;
    std::thread::sleep(WINDOW);
    std::fs::write(&stop, b"")?;
    let (mut dropped, mut delays) = (0, vec![]);
    for session in sessions {
        match session.finish() {
            Ok(report) => delays.extend(report.delays_us),
            Err(error) => {
                eprintln!("a session was dropped: {error:#}");
                dropped += 1;
            }
        }
    }
    Ok(Noticed { dropped, worst: Duration::from_micros(percentile(&mut delays, 100.0)) })
}

/// A server that sends lines to whoever connects.
fn tick_for_everybody() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // Until the other end goes.
                for number in 0_u64.. {
                    if writeln!(stream, "{number}").is_err() {
                        return;
                    }
                    std::thread::sleep(PAUSE);
                }
            });
        }
    });
    Ok(address)
}

/// A running proxy.
struct Proxy {
    processes: Vec<Child>,
    reload: Command,
    /// Whether the reload command is the new process, which stays.
    stays: bool,
}

type Start = fn(&Path, SocketAddr, SocketAddr) -> Result<Proxy>;

impl Drop for Proxy {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let pid = rustix::process::Pid::from_child(process);
            // Its workers end with it; one that has ended already needs nothing.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = process.wait();
        }
    }
}

fn nginx(folder: &Path, listen: SocketAddr, backend: SocketAddr) -> Result<Proxy> {
    let at = folder.display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
         daemon off; worker_processes 2; worker_shutdown_timeout {}s; pid {at}/pid; error_log {at}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         stream {{ server {{ listen {listen}; proxy_pass {backend}; }} }}\n",
        GRACE.as_secs()
    );
    let path = write(folder, "nginx.conf", &config)?;
    let command = |more: &[&str]| {
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&path).args(more).stderr(Stdio::null());
        command
    };
    let master = command(&[]).spawn().context("nginx (nginx-core) is needed for the anchor")?;
    Ok(Proxy { processes: vec![master], reload: command(&["-s", "reload"]), stays: false })
}

fn haproxy(folder: &Path, listen: SocketAddr, backend: SocketAddr) -> Result<Proxy> {
    let config = format!(
        "global\n  hard-stop-after {}s\n  maxconn 1000\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         frontend held\n  bind {listen}\n  default_backend ticking\n\
         backend ticking\n  server one {backend}\n",
        GRACE.as_secs()
    );
    let path = write(folder, "haproxy.cfg", &config)?;
    let command = || {
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let first = command().spawn().context("haproxy is needed for the anchor")?;
    let mut reload = command();
    reload.arg("-sf").arg(first.id().to_string());
    Ok(Proxy { processes: vec![first], reload, stays: true })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn held_over_a_reload(mut proxy: Proxy, listen: SocketAddr) -> Result<Noticed> {
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(listen).is_err() {
        ensure!(Instant::now() < until, "the proxy does not listen on {listen}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (ready, running) = std::sync::mpsc::sync_channel(HELD);
    let end = Instant::now() + Duration::from_secs(2) + WINDOW;
    let held: Vec<_> = (0..HELD)
        .map(|_| {
            let ready = ready.clone();
            std::thread::spawn(move || hold(listen, end, &ready))
        })
        .collect();
    for _ in 0..HELD {
        running.recv_timeout(Duration::from_secs(10)).context("a connection shows no line")?;
    }
    let mut new = proxy.reload.spawn()?;
    if proxy.stays {
        proxy.processes.push(new);
    } else {
        ensure!(new.wait()?.success(), "the reload is refused");
    }
    let mut noticed = Noticed { dropped: 0, worst: Duration::ZERO };
    for thread in held {
        let (dropped, worst) =
            thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??;
        noticed.dropped += usize::from(dropped);
        noticed.worst = noticed.worst.max(worst);
    }
    Ok(noticed)
}

/// Reads lines until `end`; answers whether the connection was dropped before, and its longest pause.
fn hold(
    address: SocketAddr,
    end: Instant,
    ready: &std::sync::mpsc::SyncSender<()>,
) -> Result<(bool, Duration)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut last, mut worst, mut first) = (Instant::now(), Duration::ZERO, true);
    for line in BufReader::new(stream).lines() {
        if line.is_err() {
            return Ok((true, worst));
        }
        if std::mem::take(&mut first) {
            // Whoever waits may be gone.
            let _ = ready.send(());
        } else {
            worst = worst.max(last.elapsed().saturating_sub(PAUSE));
        }
        last = Instant::now();
        if last > end {
            return Ok((false, worst));
        }
    }
    Ok((true, worst))
}

/// A port below the ephemeral ones.
fn free_address() -> Result<SocketAddr> {
    (26_000..26_500)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no free port between 26000 and 26500")
}
