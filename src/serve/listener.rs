//! Accepts clients, admits up to `maxclients`, deals them to workers in turn.

use super::worker::WorkerHandle;
use crate::command::session::Server;
use crate::config::Config;
use crate::resp::refusal::Refusal;
use crate::socket::Accepted;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

/// Connections that may wait to be accepted (as redis: `tcp-backlog 511`).
const BACKLOG: i32 = 511;
/// Pause after a failed accept (out of file descriptors), so that it does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets that clients connect to.
pub struct Listeners {
    tcp: Vec<TcpListener>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl Listeners {
    /// Binds everything that the settings name. An address marked optional may fail, as long as one is bound. Must be
    /// called inside a runtime.
    pub fn bind(config: &Config) -> io::Result<Self> {
        let mut tcp = Vec::new();
        for bind in &config.bind {
            match bind_tcp(SocketAddr::new(bind.ip, config.port)) {
                Ok(listener) => tcp.push(listener),
                Err(error) if bind.optional => tracing::debug!(address = %bind.ip, %error, "not listening"),
                Err(error) => {
                    let text = format!("bind {} port {}: {error}", bind.ip, config.port);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        let unix = config.unixsocket.clone().map(bind_unix).transpose()?;
        Ok(Self { tcp, unix })
    }

    /// The TCP addresses that are bound, for the log and for port 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A socket file left by an earlier run is removed, as the servers do.
fn bind_unix(path: PathBuf) -> io::Result<(UnixListener, PathBuf)> {
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    Ok((UnixListener::bind(&path)?, path))
}

/// Accepts until dropped.
pub async fn serve(listeners: Listeners, workers: Vec<WorkerHandle>, server: Arc<Server>) {
    let workers = Arc::new(workers);
    let mut tasks = JoinSet::new();
    for listener in listeners.tcp {
        let dealer = Dealer { workers: Arc::clone(&workers), server: Arc::clone(&server) };
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => dealer.take(stream.into_std().map(Accepted::Tcp)),
                    Err(error) => pause(&error).await,
                }
            }
        });
    }
    if let Some((listener, _)) = listeners.unix {
        let dealer = Dealer { workers: Arc::clone(&workers), server };
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => dealer.take(stream.into_std().map(Accepted::Unix)),
                    Err(error) => pause(&error).await,
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a client could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Admits connections and deals them out.
struct Dealer {
    workers: Arc<Vec<WorkerHandle>>,
    server: Arc<Server>,
}

impl Dealer {
    fn take(&self, accepted: io::Result<Accepted>) {
        let Ok(mut accepted) = accepted else { return };
        let config = self.server.config.get();
        if !self.server.status.clients.admit(config.maxclients) {
            let line = format!("-{}\r\n", Refusal::TOO_MANY_CLIENTS);
            // Best effort, as the servers do: the client is closed either way. One who wants TLS could not read it.
            let _ = match &mut accepted {
                Accepted::Tcp(stream) => stream.write(line.as_bytes()),
                Accepted::Unix(stream) => stream.write(line.as_bytes()),
                Accepted::Tls(..) => Ok(0),
            };
            return;
        }
        if let Accepted::Tcp(stream) = &accepted {
            prepare(stream, config.tcp_keepalive_s);
        }
        let next = self.server.status.clients.accepted() as usize % self.workers.len().max(1);
        if let Some(worker) = self.workers.get(next) {
            worker.deal(accepted);
        }
    }
}

/// No delay for small replies; keep-alive as the settings say. Neither is worth refusing a client for.
fn prepare(stream: &std::net::TcpStream, keepalive_s: u64) {
    let _ = stream.set_nodelay(true);
    if keepalive_s > 0 {
        let time = Duration::from_secs(keepalive_s);
        let keepalive = TcpKeepalive::new().with_time(time).with_interval((time / 3).max(Duration::from_secs(1)));
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    }
}
