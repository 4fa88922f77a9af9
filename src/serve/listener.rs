//! Accepts clients, admits up to `maxclients`, deals them to workers in turn.

use super::handshake::{Bounds, Handshakes};
use super::worker::WorkerHandle;
use crate::clock::UnixMs;
use crate::command::session::Server;
use crate::config::{Compat, Config, ConfigError};
use crate::dataset::Dialect;
use crate::dataset::gate::Reader;
use crate::logging::Seldom;
use crate::resp::refusal::Refusal;
use crate::socket::Accepted;
use crate::tls::Tls;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::fs::Permissions;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

/// Connections that may wait to be accepted (as redis: `tcp-backlog 511`).
const BACKLOG: i32 = 511;
/// Pause after a failed accept (out of file descriptors), so that it does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sockets that clients connect to.
pub struct Listeners {
    tcp: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl Listeners {
    /// Binds everything that the settings name, which must be something. An address marked optional may fail. Must be
    /// called inside a runtime.
    pub fn bind(config: &Config) -> io::Result<Self> {
        let (tcp, tls) = (bind_port(config, config.port)?, bind_port(config, config.tls.port)?);
        let unix = config.unixsocket.as_deref().map(|path| bind_unix(path, config.unixsocketperm)).transpose()?;
        if tcp.is_empty() && tls.is_empty() && unix.is_none() {
            let why = "there is nowhere to listen: give a port, a tls-port or a unixsocket".to_owned();
            let fault = ConfigError::Unusable { name: "port", why };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
        }
        Ok(Self { tcp, tls, unix })
    }

    /// The TCP addresses that are bound, for the log; true are those of `tls-port`.
    pub fn addresses(&self) -> Vec<(SocketAddr, bool)> {
        let plain = self.tcp.iter().map(|listener| (listener, false));
        let all = plain.chain(self.tls.iter().map(|listener| (listener, true)));
        all.filter_map(|(listener, tls)| listener.local_addr().ok().map(|address| (address, tls))).collect()
    }
}

/// This port of all addresses of `bind`; 0 is none.
fn bind_port(config: &Config, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut bound = Vec::new();
    for bind in config.bind.iter().filter(|_| port != 0) {
        match bind_tcp(SocketAddr::new(bind.ip, port)) {
            Ok(listener) => bound.push(listener),
            Err(error) if bind.optional => tracing::debug!(address = %bind.ip, %error, "not listening"),
            Err(error) => {
                let text = format!("bind {} port {port}: {error}", bind.ip);
                return Err(io::Error::new(error.kind(), text));
            }
        }
    }
    Ok(bound)
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

/// A socket file left by an earlier run is removed, as the servers do; unlike there nothing else is. `mode` 0 leaves the
/// permissions to the umask.
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, PathBuf)> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("unixsocket {}: {error}", path.display()));
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path).map_err(named)?,
        Ok(_) => {
            let why = "there is something else than a socket, which stays";
            return Err(named(io::Error::new(io::ErrorKind::AlreadyExists, why)));
        }
        // Also if that is because of its folder: binding says so better.
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(named)?;
    if mode != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(named)?;
    }
    Ok((listener, path.to_owned()))
}

/// Accepts until dropped.
pub async fn serve(
    listeners: Listeners,
    workers: Vec<WorkerHandle>,
    server: Arc<Server>,
    tls: Arc<Tls>,
    reader: Reader,
) -> io::Result<()> {
    let dealer = Arc::new(Dealer { workers, server, dealt: AtomicUsize::new(0), reader: Mutex::new(reader) });
    let mut tasks = JoinSet::new();
    for listener in listeners.tcp {
        tasks.spawn(accept_tcp(listener, Arc::clone(&dealer)));
    }
    if let Some((listener, _)) = listeners.unix {
        tasks.spawn(accept_unix(listener, Arc::clone(&dealer)));
    }
    if !listeners.tls.is_empty() {
        let (handshakes, ready) = Handshakes::start(tls, Arc::clone(&dealer.server.status), Bounds::default())?;
        let handshakes = Arc::new(handshakes);
        for listener in listeners.tls {
            tasks.spawn(accept_tls(listener, Arc::clone(&dealer), Arc::clone(&handshakes)));
        }
        tasks.spawn(deal_ready(ready, dealer));
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

async fn accept_tcp(listener: TcpListener, dealer: Arc<Dealer>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => dealer.take_tcp(stream.into_std()),
            Err(error) => pause(&error).await,
        }
    }
}

async fn accept_tls(listener: TcpListener, dealer: Arc<Dealer>, handshakes: Arc<Handshakes>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => dealer.take_tls(stream.into_std(), &handshakes),
            Err(error) => pause(&error).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, dealer: Arc<Dealer>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => dealer.take_unix(stream.into_std()),
            Err(error) => pause(&error).await,
        }
    }
}

/// Deals connections whose handshake is done.
async fn deal_ready(mut ready: UnboundedReceiver<Accepted>, dealer: Arc<Dealer>) {
    while let Some(accepted) = ready.recv().await {
        dealer.deal(accepted);
    }
}

async fn pause(error: &io::Error) {
    static TOLD: Seldom = Seldom::new(Duration::from_secs(1));
    if TOLD.is_due(UnixMs::now()) {
        tracing::warn!(%error, "a client could not be accepted");
    }
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Admits connections and deals them out.
struct Dealer {
    workers: Vec<WorkerHandle>,
    server: Arc<Server>,
    dealt: AtomicUsize,
    /// Of the main thread.
    reader: Mutex<Reader>,
}

impl Dealer {
    fn take_tcp(&self, accepted: io::Result<TcpStream>) {
        let Ok(mut stream) = accepted else { return };
        let local = is_local(&stream);
        if self.admits(&mut stream, local) {
            prepare(&stream, self.server.config.get().tcp_keepalive_s);
            self.deal(Accepted::Tcp(stream));
        }
    }

    /// One too many is closed without a word, as by the servers: before the handshake it could not read it.
    fn take_tls(&self, accepted: io::Result<TcpStream>, handshakes: &Handshakes) {
        let Ok(stream) = accepted else { return };
        if self.admits(&mut io::sink(), is_local(&stream)) {
            prepare(&stream, self.server.config.get().tcp_keepalive_s);
            handshakes.begin(stream);
        }
    }

    fn take_unix(&self, accepted: io::Result<UnixStream>) {
        let Ok(mut stream) = accepted else { return };
        if self.admits(&mut stream, true) {
            self.deal(Accepted::Unix(stream));
        }
    }

    /// Is there room for one more, and may it come from there? If not, it is told, as far as that needs no waiting: it is
    /// closed either way.
    fn admits(&self, stream: &mut impl Write, local: bool) -> bool {
        let config = self.server.config.get();
        let mut tell = |why: Refusal| drop(stream.write(format!("-{why}\r\n").as_bytes()));
        if !self.server.status.clients.admit(config.maxclients) {
            tell(Refusal::TOO_MANY_CLIENTS);
            return false;
        }
        if config.protected_mode && !local && self.server.users.default_user().needs_no_password() {
            tracing::debug!("a client of another machine was refused: protected-mode");
            tell(self.protected(config.compat));
            self.server.status.clients.turned_away();
            return false;
        }
        true
    }

    /// Why a client of another machine is refused, in the words of the server as whom it would be answered.
    fn protected(&self, compat: Compat) -> Refusal {
        let dialect = self.reader.lock().read(|data| {
            (data.is_loaded() || compat != Compat::Auto).then(|| data.limits.dialect.answering(compat))
        });
        match dialect {
            Some(Dialect::Redis(..=6, _) | Dialect::Redis(7, ..=1)) => Refusal::PROTECTED_REDIS_7_0,
            Some(Dialect::Redis(..)) => Refusal::PROTECTED_REDIS,
            Some(Dialect::Valkey(..)) | None => Refusal::PROTECTED,
        }
    }

    fn deal(&self, accepted: Accepted) {
        let next = self.dealt.fetch_add(1, Relaxed) % self.workers.len().max(1);
        if let Some(worker) = self.workers.get(next) {
            worker.deal(accepted);
        }
    }
}

/// Does it come from this machine?
fn is_local(stream: &TcpStream) -> bool {
    stream.peer_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

/// No delay for small replies; keep-alive as the settings say. Neither is worth refusing a client for.
fn prepare(stream: &TcpStream, keepalive_s: u64) {
    let _ = stream.set_nodelay(true);
    if keepalive_s > 0 {
        let time = Duration::from_secs(keepalive_s);
        let keepalive = TcpKeepalive::new().with_time(time).with_interval((time / 3).max(Duration::from_secs(1)));
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_socket_of_an_earlier_run_is_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("socket");
        let earlier = bind_unix(&path, 0).expect("nothing is there");
        drop(earlier);
        assert!(path.exists(), "as after a crash");
        drop(bind_unix(&path, 0o700).expect("a socket is replaced"));
        let file = dir.path().join("precious");
        std::fs::write(&file, b"data").expect("written");
        for path in [file.clone(), dir.path().to_path_buf(), dir.path().join("no/such/folder")] {
            let refused = bind_unix(&path, 0).map(drop).expect_err("no place for a socket").to_string();
            assert!(refused.starts_with(&format!("unixsocket {}: ", path.display())), "{refused}");
        }
        assert_eq!(std::fs::read(file).expect("it stays"), b"data");
    }
}
