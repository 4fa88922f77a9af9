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
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// The thread. It ends, with all handshakes, when this is dropped.
pub(super) struct Handshakes {
    /// Not bounded by itself: `maxclients` counts whoever is in it.
    begun: Option<UnboundedSender<TcpStream>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handshakes {
    /// Starts the thread; what comes out of the second part is ready to be served.
    pub(super) fn start(tls: Arc<Tls>, status: Arc<Status>) -> io::Result<(Self, UnboundedReceiver<Accepted>)> {
        let (begun, coming) = unbounded_channel();
        let (done, ready) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(shake_hands(coming, &done, &tls, &status));
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
    tls: &Arc<Tls>,
    status: &Arc<Status>,
) {
    let mut handshakes = JoinSet::new();
    let mut by_age = ByAge::default();
    loop {
        tokio::select! {
            stream = coming.recv() => {
                let Some(stream) = stream else { return };
                if handshakes.len() >= TLS_HANDSHAKES_MAX && by_age.end_oldest() {
                    handshakes.join_next().await;
                }
                let pending = Pending { status: Arc::clone(status), result: "dropped" };
                by_age.push(handshakes.spawn(handshake(stream, Arc::clone(tls), pending, done.clone())));
            }
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn handshake(stream: TcpStream, tls: Arc<Tls>, mut pending: Pending, done: UnboundedSender<Accepted>) {
    let peer = stream.peer_addr().ok();
    match timeout(TLS_HANDSHAKE_TIMEOUT, accept(stream, &tls)).await {
        Ok(Ok(accepted)) => {
            pending.result = "ok";
            drop(done.send(accepted));
        }
        Ok(Err(error)) => {
            pending.result = "failed";
            tracing::debug!(?peer, %error, "TLS handshake with a client failed");
        }
        Err(_) => {
            pending.result = "timeout";
            tracing::debug!(?peer, "TLS handshake with a client took too long");
        }
    }
}

async fn accept(stream: TcpStream, tls: &Tls) -> io::Result<Accepted> {
    let config = tls.server().ok_or_else(|| io::Error::other("no certificate"))?;
    let stream = TlsAcceptor::from(config).accept(tokio::net::TcpStream::from_std(stream)?).await?;
    let (stream, session) = stream.into_inner();
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
