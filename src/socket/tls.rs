//! A client's TLS connection after its handshake, read and written without waiting.
//!
//! The session turns bytes of the wire into text and back in buffers of its own; here they are moved between it and
//! the TCP socket. Text is taken only while nothing waits to be sent, so the buffers stay bounded.

use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;

/// Our end of a client's TLS connection.
#[derive(Debug)]
pub struct TlsSocket {
    tcp: TcpStream,
    session: Box<ServerConnection>,
}

impl TlsSocket {
    /// A connection whose handshake is done.
    pub(super) fn new(tcp: TcpStream, session: Box<ServerConnection>) -> Self {
        Self { tcp, session }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Box<ServerConnection>) {
        (self.tcp, self.session)
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Reads as much as is there and fits; nothing is the peer's end, told or not. An end that was not told may have
    /// been made by a stranger, who gains nothing by it: half a request is not executed.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            let ended = self.take_text(buf)?;
            if ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let more = self.receive();
            let some = buf.filled().len() > before;
            match more {
                Ok(()) => {}
                // An error stays and shows at the next read.
                Err(_) if some => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.tcp.poll_read_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Moves text that is there into `buf`; true at the peer's end.
    fn take_text(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        while buf.remaining() > 0 {
            match self.session.reader().read(buf.initialize_unfilled()) {
                Ok(0) => return Ok(true),
                Ok(bytes) => buf.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Reads the wire once, without waiting. A fault of the peer is told to it if that needs no waiting.
    fn receive(&mut self) -> io::Result<()> {
        self.session.read_tls(&mut Wire(&self.tcp))?;
        let understood = self.session.process_new_packets();
        // Answers of the session itself (a new key, a complaint); what does not fit goes before the next text.
        let pushed = self.push();
        understood.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        pushed.map(drop)
    }

    /// Takes text and sends it as far as the socket goes along; answers how much was taken.
    pub(super) fn try_write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.push()? && taken < text.len() {
            taken += self.session.writer().write(&text[taken..])?;
        }
        Ok(taken)
    }

    /// Sends what waits; false if some is left.
    pub(super) fn push(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Wire(&self.tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits until all is sent.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        while !self.push()? {
            self.tcp.writable().await?;
        }
        Ok(())
    }

    /// Tells the peer that this is the end, if that needs no waiting.
    pub(super) fn say_goodbye(&mut self) {
        self.session.send_close_notify();
        // The connection is closed either way.
        let _ = self.push();
    }
}

/// The TCP socket as the session wants it: it says WouldBlock instead of waiting.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::socket::{Accepted, Socket};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    /// Two ends of a connection with this version of the protocol.
    async fn pair(version: &'static SupportedProtocolVersion) -> (Socket, TlsStream<TcpStream>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let provider = Arc::new(default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key).expect("a key"))
            .expect("a matching key");
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let connect = async {
            let stream = TcpStream::connect(address).await.expect("it listens");
            let name = ServerName::try_from("localhost").expect("a name");
            TlsConnector::from(Arc::new(client)).connect(name, stream).await.expect("a handshake")
        };
        let accept = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            TlsAcceptor::from(Arc::new(server)).accept(stream).await.expect("a handshake")
        };
        let (client, server) = tokio::join!(connect, accept);
        let (stream, session) = server.into_inner();
        let accepted = Accepted::Tls(stream.into_std().expect("a socket"), Box::new(session));
        (accepted.register().expect("in this runtime"), client)
    }

    #[tokio::test]
    async fn text_goes_both_ways_in_pieces_of_any_size() {
        for version in [&version::TLS12, &version::TLS13] {
            let (mut ours, mut theirs) = pair(version).await;
            for size in [1, 100, 16 * 1024 + 1, 3_000_000] {
                let text: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
                let mut there = vec![0; text.len()];
                let (sent, got) = tokio::join!(
                    async {
                        ours.write_all(&text).await?;
                        ours.flush().await
                    },
                    theirs.read_exact(&mut there)
                );
                sent.and(got.map(drop)).expect("no fault");
                assert!(there == text, "{size} bytes out");
                let (sent, got) = tokio::join!(
                    async {
                        theirs.write_all(&text).await?;
                        theirs.flush().await
                    },
                    ours.read_exact(&mut there)
                );
                sent.and(got.map(drop)).expect("no fault");
                assert!(there == text, "{size} bytes in");
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_makes_us_keep_little() {
        let (mut ours, mut theirs) = pair(&version::TLS13).await;
        let text = vec![7; 64 << 20];
        let mut taken = 0;
        loop {
            match ours.try_write(&text[taken..]).expect("no fault") {
                0 => break,
                more => taken += more,
            }
        }
        assert!(taken < text.len(), "the system takes a part only");
        let mut there = vec![0; taken];
        let (drained, read) = tokio::join!(ours.drain(), theirs.read_exact(&mut there));
        drained.and(read.map(drop)).expect("all that was taken arrives");
        assert!(there.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn a_client_that_is_done_still_gets_its_replies() {
        let (mut ours, mut theirs) = pair(&version::TLS13).await;
        theirs.write_all(b"PING").await.expect("sent");
        theirs.shutdown().await.expect("half closed");
        let mut asked = Vec::new();
        ours.read_to_end(&mut asked).await.expect("an end");
        assert_eq!(asked, b"PING");
        ours.write_all(b"+PONG").await.expect("taken");
        ours.shutdown().await.expect("closed");
        let mut reply = Vec::new();
        theirs.read_to_end(&mut reply).await.expect("a clean end");
        assert_eq!(reply, b"+PONG");
    }

    #[tokio::test]
    async fn an_end_without_goodbye_is_an_end() {
        let (mut ours, mut theirs) = pair(&version::TLS13).await;
        theirs.write_all(b"PIN").await.expect("sent");
        drop(theirs.into_inner());
        let mut asked = Vec::new();
        ours.read_to_end(&mut asked).await.expect("an end");
        assert_eq!(asked, b"PIN");
    }

    #[tokio::test]
    async fn what_is_no_tls_is_a_fault() {
        let (mut ours, theirs) = pair(&version::TLS13).await;
        let (mut stream, _) = theirs.into_inner();
        stream.write_all(b"PING\r\n").await.expect("sent");
        let error = ours.read_u8().await.expect_err("no TLS");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    }

    #[tokio::test]
    async fn a_connection_moves_to_another_thread_with_what_it_holds() {
        let (mut ours, mut theirs) = pair(&version::TLS13).await;
        theirs.write_all(b"PSYNC and more").await.expect("sent");
        let mut first = [0; 5];
        ours.read_exact(&mut first).await.expect("the request");
        let released = ours.release().expect("free of this runtime");
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut there = released.register().expect("in that runtime");
                let mut rest = [0; 9];
                there.read_exact(&mut rest).await.expect("the rest");
                there.write_all(b"+CONTINUE").await.expect("taken");
                there.flush().await.expect("sent");
                rest
            })
        });
        let mut reply = [0; 9];
        theirs.read_exact(&mut reply).await.expect("a reply");
        assert_eq!((&reply, &thread.join().expect("no panic")), (b"+CONTINUE", b" and more"));
    }
}
