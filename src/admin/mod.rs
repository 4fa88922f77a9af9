//! `/metrics` and the probes, over plain HTTP on `metrics-addr`.
//!
//! Comes in: requests of Prometheus and kubelet. Goes out: text. It reads the status and, for the number of keys, the
//! dataset; it changes nothing, and anybody who can reach the address may ask.

mod probes;

use crate::clock::{self, UnixMs};
use crate::command::session::Server;
use crate::command::table;
use crate::dataset::gate::Reader;
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_BYTES_MAX, ADMIN_HEAD_TIMEOUT};
use crate::logging::Seldom;
use crate::metrics::{self, Numbers, Pubsub};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use probes::Verdict;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// After an error at accept (no more file descriptors) the next try waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener, and what it shows.
pub struct Admin {
    listener: TcpListener,
    view: Arc<View>,
}

struct View {
    server: Arc<Server>,
    reader: Mutex<Reader>,
    commands: Vec<String>,
}

impl Admin {
    /// Listens on `address`; port 0 picks a free one. Must be called inside a runtime.
    pub fn bind(address: SocketAddr, server: Arc<Server>, reader: Reader) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let commands = table::rows().map(|row| row.name.replace(' ', "|")).collect();
        let view = Arc::new(View { server, reader: Mutex::new(reader), commands });
        Ok(Self { listener: TcpListener::from_std(listener)?, view })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers requests until it is dropped, with all its connections.
    pub async fn serve(self) {
        let (mut connections, mut seats) = (JoinSet::new(), Vec::new());
        loop {
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    make_room(&mut seats);
                    let heard = Arc::new(Mutex::new(clock::instant()));
                    let task = connections.spawn(connection(stream, Arc::clone(&self.view), Arc::clone(&heard)));
                    seats.push(Seat { heard, task });
                }
                Err(error) => {
                    static TOLD: Seldom = Seldom::new(Duration::from_secs(1));
                    if TOLD.is_due(UnixMs::now()) {
                        tracing::warn!(%error, "cannot accept on metrics-addr");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// A connection as whoever accepts sees it.
struct Seat {
    /// When it last asked something.
    heard: Arc<Mutex<Instant>>,
    task: AbortHandle,
}

/// Makes room for one more connection: a probe must not wait for others that say nothing.
fn make_room(seats: &mut Vec<Seat>) {
    seats.retain(|seat| !seat.task.is_finished());
    if seats.len() >= ADMIN_CONNECTIONS_MAX
        && let Some(silent) = (0..seats.len()).min_by_key(|at| *seats[*at].heard.lock())
    {
        seats.swap_remove(silent).task.abort();
    }
}

async fn connection(stream: TcpStream, view: Arc<View>, heard: Arc<Mutex<Instant>>) {
    let service = service_fn(|request| {
        *heard.lock() = clock::instant();
        let response = view.respond(&request);
        async { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(ADMIN_HEAD_TIMEOUT).max_buf_size(ADMIN_HEAD_BYTES_MAX);
    // Errors here are those of the peer: it went away, was slow, or spoke something else.
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

impl View {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.answer(request.method(), request.uri().path())
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let status = &self.server.status;
        let body = match path {
            "/metrics" => Ok(String::new()),
            "/live" => Ok("live\n".to_owned()),
            "/startup" => told(probes::startup(status)),
            "/ready" => {
                let serve_stale = self.server.config.get().replica_serve_stale_data;
                told(probes::ready(status, serve_stale, clock::instant(), UnixMs::now()))
            }
            _ => return text(StatusCode::NOT_FOUND, "there are /metrics, /live, /ready and /startup\n".into()),
        };
        if method != Method::GET && method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match body {
            Ok(_) if path == "/metrics" => self.metrics(),
            Ok(body) => text(StatusCode::OK, body),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let (databases, replid) = self.reader.lock().read(|data| {
            let used = data.dbs().filter(|(_, keyspace)| !keyspace.is_empty());
            let databases: Vec<_> =
                used.map(|(db, keyspace)| (db.0, keyspace.len(), keyspace.expires())).collect();
            (databases, data.position.replid)
        });
        let master = self.server.master.borrow().address.clone();
        let commands: Vec<&str> = self.commands.iter().map(String::as_str).collect();
        let listened = self.server.hub.counts();
        let rendered = metrics::render(&Numbers {
            now: UnixMs::now(),
            instant: clock::instant(),
            status: &self.server.status,
            commands: &commands,
            databases: &databases,
            master: (&master.host(), master.port(), replid.as_str()),
            maxclients: self.server.config.get().maxclients,
            pubsub: Pubsub {
                clients: listened.subscribers,
                names: [listened.channels, listened.patterns, listened.shard_channels],
            },
        });
        let mut response = text(StatusCode::OK, rendered);
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

fn told(verdict: Verdict) -> Result<String, String> {
    match verdict {
        Verdict::Yes => Ok("yes\n".into()),
        Verdict::No(why) => Err(format!("no: {why}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LiveConfig, Master};
    use crate::dataset::gate::gate;
    use crate::dataset::{Dataset, EncodingLimits};
    use crate::position::{DbIndex, Offset, Position, ReplId};
    use crate::status::Status;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn admin() -> (Admin, Arc<Server>) {
        let position = Position::fresh(ReplId::ZERO, Offset(0), DbIndex(0));
        let (_, readers) = gate(Dataset::new(16, position, EncodingLimits::default()), 1);
        let config = Arc::new(LiveConfig::new(Config::default()));
        let status = Arc::new(Status::new(UnixMs(0)));
        let server = Arc::new(Server::new(config, status, Master::tcp("master", 6379)).expect("the default user"));
        let reader = readers.into_iter().next().expect("one reader");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        (Admin::bind(any, Arc::clone(&server), reader).expect("a free port"), server)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("a response in UTF-8");
        response
    }

    #[tokio::test]
    async fn paths_and_methods_are_answered_over_http() {
        let (admin, server) = admin();
        let address = admin.address().expect("bound");
        let task = tokio::spawn(admin.serve());
        for (request, status, body) in [
            ("GET /live", "200 OK", "live\n"),
            ("HEAD /live", "200 OK", ""),
            ("GET /startup", "503 Service Unavailable", "no: nothing is loaded yet"),
            ("GET /ready?verbose", "503 Service Unavailable", "no: nothing is loaded yet"),
            ("GET /", "404 Not Found", "there are /metrics"),
            ("POST /metrics", "405 Method Not Allowed", "only GET"),
            ("POST /nowhere", "404 Not Found", ""),
        ] {
            let response = ask(address, request).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {response}");
            let (_, found) = response.split_once("\r\n\r\n").expect("a body");
            assert!(found.starts_with(body), "{request}: {response}");
        }
        server.status.set_loaded();
        server.status.set_caught_up();
        assert!(ask(address, "GET /startup").await.contains("200 OK"));
        let metrics = ask(address, "GET /metrics").await;
        assert!(
            metrics.contains("text/plain; version=0.0.4") && metrics.contains("\nremora_loaded 1\n"),
            "{metrics}"
        );
        assert!(metrics.contains("remora_master_info{host=\"master\",port=\"6379\","), "{metrics}");
        task.abort();
    }

    /// Asks over a connection that stays.
    async fn probe(stream: &mut TcpStream) {
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"live\n") {
            assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "closed");
        }
    }

    #[tokio::test]
    async fn one_too_many_ends_the_one_that_was_silent_for_longest() {
        let (admin, _server) = admin();
        let address = admin.address().expect("bound");
        let task = tokio::spawn(admin.serve());
        let mut all = Vec::new();
        for _ in 0..ADMIN_CONNECTIONS_MAX {
            all.push(TcpStream::connect(address).await.expect("it listens"));
        }
        // The first is heard last: so it is the second's turn.
        all.rotate_left(1);
        for stream in &mut all {
            probe(stream).await;
        }
        assert!(ask(address, "GET /live").await.contains("200 OK"), "nobody waits for the silent");
        assert_eq!(all[0].read_to_end(&mut Vec::new()).await.expect("closed"), 0);
        probe(&mut all[1]).await;
        probe(&mut all[ADMIN_CONNECTIONS_MAX - 1]).await;
        task.abort();
    }

    #[tokio::test]
    async fn what_is_no_http_is_closed() {
        let (admin, _server) = admin();
        let address = admin.address().expect("bound");
        let task = tokio::spawn(admin.serve());
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(&[b'x'; ADMIN_HEAD_BYTES_MAX * 2]).await.expect("sent");
        let mut rest = Vec::new();
        // A reset is fine too: not everything was read.
        drop(stream.read_to_end(&mut rest).await);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
        task.abort();
    }
}
