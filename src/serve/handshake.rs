//! TLS handshakes with clients, on a thread of their own: they cost a signature each and may last as long as a client
//! likes, so neither accepting nor answering others waits for them.
//!
//! Comes in: connections that were admitted. Goes out: connections that can be served. What fails is closed and counts
//! as a client no longer. Most at a time: `TLS_HANDSHAKES_MAX`.

use crate::limits::{TLS_HANDSHAKE_TIMEOUT, TLS_HANDSHAKES_MAX};
use crate::socket::Accepted;
use crate::status::Status;
use crate::tls::Tls;
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// What handshakes may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Each ends after this time.
    pub(super) timeout: Duration,
    /// Most at a time. One more ends the oldest.
    pub(super) at_a_time: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { timeout: TLS_HANDSHAKE_TIMEOUT, at_a_time: TLS_HANDSHAKES_MAX }
    }
}

/// The thread. It ends, with all handshakes, when this is dropped.
pub(super) struct Handshakes {
    /// Not bounded by itself: `maxclients` counts whoever is in it.
    begun: Option<UnboundedSender<TcpStream>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handshakes {
    /// Starts the thread; what comes out of the second part is ready to be served.
    pub(super) fn start(
        tls: Arc<Tls>,
        status: Arc<Status>,
        bounds: Bounds,
    ) -> io::Result<(Self, UnboundedReceiver<Accepted>)> {
        let (begun, coming) = unbounded_channel();
        let (done, ready) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(shake_hands(coming, &done, (&tls, &status), bounds));
        let thread = std::thread::Builder::new().name("handshakes".into()).spawn(work)?;
        Ok((Self { begun: Some(begun), thread: Some(thread) }, ready))
    }

    /// Begins a handshake with an admitted client.
    pub(super) fn begin(&self, stream: TcpStream) {
        if let Some(begun) = &self.begun {
            drop(begun.send(stream));
        }
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        self.begun = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn shake_hands(
    mut coming: UnboundedReceiver<TcpStream>,
    done: &UnboundedSender<Accepted>,
    (tls, status): (&Arc<Tls>, &Arc<Status>),
    bounds: Bounds,
) {
    let mut handshakes = JoinSet::new();
    let mut by_age = ByAge::default();
    loop {
        tokio::select! {
            stream = coming.recv() => {
                let Some(stream) = stream else { return };
                if handshakes.len() >= bounds.at_a_time && by_age.end_oldest() {
                    handshakes.join_next().await;
                }
                let pending = Pending { status: Arc::clone(status), result: "dropped" };
                let accepting = accept(stream, Arc::clone(tls));
                by_age.push(handshakes.spawn(handshake(accepting, pending, done.clone(), bounds.timeout)));
            }
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn handshake(
    accepting: impl Future<Output = io::Result<Accepted>>,
    mut pending: Pending,
    done: UnboundedSender<Accepted>,
    limit: Duration,
) {
    match timeout(limit, accepting).await {
        Ok(Ok(accepted)) => {
            pending.result = "ok";
            drop(done.send(accepted));
        }
        Ok(Err(error)) => {
            pending.result = "failed";
            tracing::debug!(%error, "TLS handshake with a client failed");
        }
        Err(_) => pending.result = "timeout",
    }
}

async fn accept(stream: TcpStream, tls: Arc<Tls>) -> io::Result<Accepted> {
    let peer = stream.peer_addr()?;
    let config = tls.server().ok_or_else(|| io::Error::other("no certificate"))?;
    let accepting = TlsAcceptor::from(config).accept(tokio::net::TcpStream::from_std(stream)?);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{peer}: {error}"));
    let (stream, session) = accepting.await.map_err(named)?.into_inner();
    Ok(Accepted::Tls(stream.into_std()?, Box::new(session)))
}

/// A client whose handshake is not done. Counts how it ended; one that did not end well is a client no longer.
struct Pending {
    status: Arc<Status>,
    result: &'static str,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.status.tls.handshakes.count(self.result);
        if self.result != "ok" {
            self.status.clients.leave();
        }
    }
}

/// Handshakes in the order in which they began, the ended ones among them for a while.
#[derive(Default)]
struct ByAge(VecDeque<AbortHandle>);

impl ByAge {
    fn push(&mut self, handshake: AbortHandle) {
        if self.0.len() >= 2 * TLS_HANDSHAKES_MAX {
            self.0.retain(|handshake| !handshake.is_finished());
        }
        self.0.push_back(handshake);
    }

    /// Ends the oldest that has not ended by itself; false if there is none.
    fn end_oldest(&mut self) -> bool {
        while let Some(oldest) = self.0.pop_front() {
            if !oldest.is_finished() {
                oldest.abort();
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{self, UnixMs};
    use crate::config::{AuthClients, Config};
    use std::io::Read;
    use std::net::TcpListener;

    /// A listener, and handshakes within `bounds` with what it accepts.
    struct Bench {
        listener: TcpListener,
        handshakes: Handshakes,
        ready: UnboundedReceiver<Accepted>,
        status: Arc<Status>,
    }

    fn bench(bounds: Bounds) -> Bench {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let dir = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let mut config = Config::default();
        config.tls.port = 1;
        (config.tls.cert_file, config.tls.key_file) = (Some(certificate), Some(key));
        config.tls.auth_clients = AuthClients::No;
        let status = Arc::new(Status::new(UnixMs(0)));
        let tls = Arc::new(Tls::start(&config, Arc::clone(&status)).expect("usable"));
        let (handshakes, ready) = Handshakes::start(tls, Arc::clone(&status), bounds).expect("a thread");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Bench { listener, handshakes, ready, status }
    }

    impl Bench {
        /// A client that is admitted and says nothing.
        fn silent(&self) -> TcpStream {
            let client = TcpStream::connect(self.listener.local_addr().expect("bound")).expect("it listens");
            let (stream, _) = self.listener.accept().expect("a connection");
            stream.set_nonblocking(true).expect("a setting");
            assert!(self.status.clients.admit(100));
            self.handshakes.begin(stream);
            client
        }

        /// Waits until one has ended like this and so many are left: a socket may be closed a moment before.
        fn wait_ended(&self, result: &str, connected: usize) {
            let began = clock::instant();
            while (self.status.tls.handshakes.of(result), self.status.clients.connected()) != (1, connected) {
                assert!(began.elapsed() < Duration::from_secs(30), "{result}: {:?}", self.status.tls.handshakes);
                std::thread::yield_now();
            }
        }
    }

    /// Blocks until the server closes.
    fn wait_closed(mut client: TcpStream) {
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a setting");
        assert_eq!(client.read(&mut [0]).expect("closed, and within 30 s"), 0);
    }

    #[test]
    fn one_too_many_ends_the_oldest() {
        let bench = bench(Bounds { timeout: Duration::from_secs(3600), at_a_time: 2 });
        let (oldest, mut second) = (bench.silent(), bench.silent());
        let _third = bench.silent();
        wait_closed(oldest);
        bench.wait_ended("dropped", 2);
        second.set_nonblocking(true).expect("a setting");
        assert_eq!(second.read(&mut [0]).expect_err("still open").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn silence_ends_with_the_time() {
        let mut bench = bench(Bounds { timeout: Duration::from_millis(1), at_a_time: 2 });
        wait_closed(bench.silent());
        bench.wait_ended("timeout", 0);
        assert!(bench.ready.try_recv().is_err());
    }

    #[test]
    fn what_is_no_tls_is_closed_and_counted() {
        let bench = bench(Bounds::default());
        let mut client = bench.silent();
        io::Write::write_all(&mut client, b"PING\r\n").expect("sent");
        let mut alert = Vec::new();
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a setting");
        // Closed with or without a reset: what we did not read may turn the one into the other.
        let _ = client.read_to_end(&mut alert);
        bench.wait_ended("failed", 0);
    }
}
