//! `remora demo`: the main job with nothing prepared. Starts a real server with some data and a writer, follows it,
//! and says what to type next.

use crate::clock::UnixMs;
use crate::config::{Config, Master, Startup};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Servers that can play the master, the first one found is taken.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];
/// Keys written before remora starts to follow.
const KEYS: u32 = 10_000;
/// How often the writer changes something.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// How long the server may take to open its port.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the demo until `run` ends; `run` starts remora with settings and stops at a signal or when its second argument
/// resolves.
pub async fn run<R, F>(port: Option<u16>, run: R) -> io::Result<()>
where
    R: FnOnce(Startup, Stop) -> F,
    F: Future<Output = io::Result<()>>,
{
    let server = find_server().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "the demo needs redis-server or valkey-server on PATH: install the package redis-server (Debian, Ubuntu), \
             redis (Fedora, Alpine, Homebrew) or valkey",
        )
    })?;
    let (master_port, free) = free_ports()?;
    let port = port.unwrap_or(free);
    let directory = Scratch::new()?;
    let mut master = start(&server, master_port, &directory.0)?;
    let mut link = connect(master_port, &mut master).await?;
    fill(&mut link).await?;
    let stop: Stop = Box::pin(async move {
        // It is looked at for the first time when remora listens.
        tell(&server, master_port, port);
        write_on(link, master).await;
    });
    run(startup(master_port, port), stop).await
}

/// Resolves when the demo cannot go on: the master or its writer ended.
pub type Stop = std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn startup(master_port: u16, port: u16) -> Startup {
    let master = Master::tcp("127.0.0.1", master_port);
    let config = Config {
        replicaof: Some(master.clone()),
        port,
        metrics_addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..Config::default()
    };
    Startup { config, master, warnings: Vec::new() }
}

#[allow(clippy::print_stdout, reason = "the demo talks to the person at the terminal")]
fn tell(server: &Path, master_port: u16, port: u16) {
    println!(
        "The master is {} on port {master_port}, with {KEYS} keys and a writer.\n\
         remora follows it and serves its data on port {port}. Try in another terminal:\n\n\
         \x20 redis-cli -p {port} GET demo:key:42          a read\n\
         \x20 redis-cli -p {port} GET demo:counter         again and again: the master's writer counts\n\
         \x20 redis-cli -p {port} SET x 1                  refused: this is a replica\n\
         \x20 redis-cli -p {master_port} SET x 1 && redis-cli -p {port} GET x\n\
         \x20 redis-cli -p {port} INFO replication\n\
         \x20 redis-cli -p {master_port} SHUTDOWN NOSAVE    ends the demo\n\n\
         Ctrl-C ends both.\n",
        server.display(),
    );
}

#[allow(clippy::disallowed_methods, reason = "PATH is no setting")]
fn find_server() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = |name: &'static str| std::env::split_paths(&path).map(move |dir| dir.join(name)).collect();
    SERVERS.into_iter().flat_map::<Vec<_>, _>(candidates).find(|candidate| candidate.is_file())
}

/// Two different ones.
fn free_ports() -> io::Result<(u16, u16)> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (bind()?, bind()?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

/// A directory for the server that goes with the demo.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        let name = format!("remora-demo-{}-{}", std::process::id(), UnixMs::now().0);
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: it is in the temporary directory.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn start(server: &Path, port: u16, directory: &Path) -> io::Result<Child> {
    let port = port.to_string();
    Command::new(server)
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "warning",
        ])
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

async fn connect(port: u16, master: &mut Child) -> io::Result<TcpStream> {
    let tried = tokio::time::timeout(START_TIMEOUT, async {
        loop {
            if let Some(status) = master.try_wait()? {
                return Err(io::Error::other(format!("the master ended at once: {status}")));
            }
            if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                return Ok(stream);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tried.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the master does not open its port"))?
}

/// Some keys of each kind, in one pipeline.
async fn fill(link: &mut TcpStream) -> io::Result<()> {
    let mut commands: Vec<String> = (0..KEYS).map(|n| format!("SET demo:key:{n} value-{n}\r\n")).collect();
    commands.extend(
        [
            "HSET demo:hash name remora kind fish length_cm 75",
            "RPUSH demo:list one two three",
            "SADD demo:set shark turtle ship",
            "ZADD demo:zset 1 one 2 two 3 three",
            "XADD demo:stream * event started",
        ]
        .map(|line| format!("{line}\r\n")),
    );
    link.write_all(commands.concat().as_bytes()).await?;
    let mut replies = commands.len();
    let mut buffer = [0; 4096];
    while replies > 0 {
        let read = link.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // One line per reply, but for the id of XADD, which is a bulk string of two.
        replies = replies.saturating_sub(buffer[..read].iter().filter(|&&c| c == b'\n').count());
    }
    Ok(())
}

/// Writes until the master is gone, which it is at the latest when this is dropped.
async fn write_on(mut link: TcpStream, mut master: Child) {
    let (mut read, mut write) = link.split();
    let writer = async {
        let mut tick = tokio::time::interval(WRITE_EVERY);
        loop {
            tick.tick().await;
            if write.write_all(b"INCR demo:counter\r\n").await.is_err() {
                return;
            }
        }
    };
    let mut replies = tokio::io::sink();
    tokio::select! {
        () = writer => {}
        _ = tokio::io::copy(&mut read, &mut replies) => {}
        _ = master.wait() => {}
    }
}
