//! A sub-replica's socket: what waits to be sent, and what came.

use super::cut::Cut;
use crate::limits::{SUB_REPLICA_ARGUMENTS_MAX, SUB_REPLICA_REQUEST_BYTES_MAX};
use crate::number;
use crate::position::Offset;
use crate::resp::request::{Parser, RequestLimits, Span};
use crate::socket::{Accepted, Socket};
use bytes::{Buf, Bytes};
use socket2::{SockRef, TcpKeepalive};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncWrite, ReadBuf};

/// Bytes read at a time: acknowledgements are short.
const READ_BYTES: usize = 4096;
const LIMITS: RequestLimits = RequestLimits {
    arguments: SUB_REPLICA_ARGUMENTS_MAX,
    bulk_bytes: SUB_REPLICA_REQUEST_BYTES_MAX,
    request_bytes: SUB_REPLICA_REQUEST_BYTES_MAX,
    unauthenticated: false,
    inline: true,
};

/// A connection to a sub-replica.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    /// Waits to be sent. What is put here is bounded by whoever puts it.
    out: VecDeque<Bytes>,
    out_bytes: u64,
    input: Vec<u8>,
    parser: Parser,
}

/// What was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Anything at all, newlines included.
    pub(super) anything: bool,
    /// The last acknowledgement.
    pub(super) acked: Option<Offset>,
}

impl Wire {
    /// Takes the socket into the runtime of the calling thread. A peer that does not acknowledge packets for
    /// `timeout` is gone: the kernel tells us then.
    pub(super) fn new(accepted: Accepted, unread: Vec<u8>, timeout: Duration) -> io::Result<Self> {
        if let Accepted::Tcp(stream) | Accepted::Tls(stream, _) = &accepted {
            let interval = timeout / 3 + Duration::from_secs(1);
            let keepalive = TcpKeepalive::new().with_time(timeout).with_interval(interval);
            let options = SockRef::from(stream);
            options.set_tcp_keepalive(&keepalive)?;
            options.set_tcp_user_timeout(Some(timeout))?;
        }
        let socket = accepted.register()?;
        Ok(Self { socket, out: VecDeque::new(), out_bytes: 0, input: unread, parser: Parser::default() })
    }

    /// From now on its own signs of life tell whether the peer is there: one that loads a snapshot takes nothing for
    /// minutes, and the kernel would give it up.
    pub(super) fn trust_signs_of_life(&self) {
        self.set_user_timeout(None);
    }

    /// From now on the kernel tells again, as at first.
    pub(super) fn expect_acknowledgements(&self, timeout: Duration) {
        self.set_user_timeout(Some(timeout));
    }

    fn set_user_timeout(&self, timeout: Option<Duration>) {
        if !self.socket.is_unix()
            && let Err(error) = SockRef::from(&self.socket).set_tcp_user_timeout(timeout)
        {
            tracing::debug!(%error, "the timeout of a sub-replica's socket could not be changed");
        }
    }

    /// The peer's address, without its port.
    pub(super) fn peer_ip(&self) -> Option<String> {
        self.socket.peer().map(|address| address.ip().to_canonical().to_string())
    }

    /// To be sent behind what waits already.
    pub(super) fn send(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.out_bytes += bytes.len() as u64;
        self.out.push_back(bytes);
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.out_bytes
    }

    /// Sends what waits, as far as the socket takes it. Ready once nothing waits. Adds what was sent to `sent`.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, sent: &mut u64) -> Poll<Result<(), Cut>> {
        while let Some(front) = self.out.front_mut() {
            let taken = ready!(Pin::new(&mut self.socket).poll_write(cx, front)).map_err(Cut::Io)?;
            if taken == 0 {
                return Poll::Ready(Err(Cut::Closed));
            }
            front.advance(taken);
            if front.is_empty() {
                self.out.pop_front();
            }
            self.out_bytes -= taken as u64;
            *sent += taken as u64;
        }
        // A TLS connection may keep a part of what it took.
        Pin::new(&mut self.socket).poll_flush(cx).map_err(Cut::Io)
    }

    /// Reads everything that has come.
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) -> Result<Heard, Cut> {
        let mut heard = Heard { anything: !self.input.is_empty(), acked: self.parse()? };
        let mut scratch = [0; READ_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match self.socket.poll_read(cx, &mut buf) {
                Poll::Pending => return Ok(heard),
                Poll::Ready(Err(error)) => return Err(Cut::Io(error)),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Err(Cut::Closed),
                Poll::Ready(Ok(())) => self.input.extend_from_slice(buf.filled()),
            }
            heard.anything = true;
            heard.acked = self.parse()?.or(heard.acked);
        }
    }

    /// Takes whole requests from the front of the input; answers the last offset acknowledged in them. Everything
    /// else that a replica may say asks for no reply.
    fn parse(&mut self) -> Result<Option<Offset>, Cut> {
        let (mut at, mut acked, mut spans) = (0, None, Vec::new());
        while let Some(used) =
            self.parser.parse(&mut self.input, at, &mut spans, &LIMITS).map_err(Cut::Protocol)?
        {
            acked = ack(&spans, &self.input).or(acked);
            spans.clear();
            at += used;
        }
        self.input.drain(..at);
        Ok(acked)
    }

    /// Sends no more; what was sent still arrives.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        Pin::new(&mut self.socket).poll_shutdown(cx).map_err(Cut::Io)
    }
}

/// The offset of `REPLCONF ACK offset [FACK offset]`.
fn ack(spans: &[Span], input: &[u8]) -> Option<Offset> {
    let [name, option, offset, ..] = spans else { return None };
    let is_ack = name.of(input).eq_ignore_ascii_case(b"replconf") && option.of(input).eq_ignore_ascii_case(b"ack");
    let offset = number::parse_integer(offset.of(input)).and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|_| is_ack).map(Offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::unix::net::UnixStream as StdStream;

    fn heard(said: &[u8]) -> Result<Heard, Cut> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = StdStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let (unread, later) = said.split_at(said.len().min(7));
            theirs.write_all(later).unwrap();
            let mut wire = Wire::new(Accepted::Unix(ours), unread.to_vec(), Duration::from_secs(60)).unwrap();
            let mut all = Heard::default();
            poll_fn(|cx| {
                let heard = wire.listen(cx)?;
                all = Heard { anything: all.anything || heard.anything, acked: heard.acked.or(all.acked) };
                if wire.input.is_empty() && (later.is_empty() || all.anything) {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            })
            .await
            .map(|()| all)
        })
    }

    #[test]
    fn the_kernel_gives_up_a_peer_that_acknowledges_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let _theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (ours, _) = listener.accept().unwrap();
            ours.set_nonblocking(true).unwrap();
            let timeout = Duration::from_secs(17);
            let wire = Wire::new(Accepted::Tcp(ours), Vec::new(), timeout).unwrap();
            let of_the_socket = || SockRef::from(&wire.socket).tcp_user_timeout().unwrap().unwrap_or_default();
            assert_eq!(of_the_socket(), timeout);
            assert!(SockRef::from(&wire.socket).keepalive().unwrap());
            wire.trust_signs_of_life();
            assert_eq!(of_the_socket(), Duration::ZERO, "while it loads");
            wire.expect_acknowledgements(timeout);
            assert_eq!(of_the_socket(), timeout);
        });
    }

    #[test]
    fn acknowledgements_and_newlines_are_heard() {
        let check = |said: &[u8], acked: Option<u64>| {
            let expected = Heard { anything: true, acked: acked.map(Offset) };
            assert_eq!(heard(said).unwrap(), expected, "{}", said.escape_ascii());
        };
        check(b"\n", None);
        check(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1124\r\n", Some(1124));
        check(b"*5\r\n$8\r\nreplconf\r\n$3\r\nack\r\n$1\r\n7\r\n$4\r\nFACK\r\n$1\r\n5\r\n", Some(7));
        check(b"REPLCONF ACK 1\r\n\n\nREPLCONF ACK 22\r\n", Some(22));
        check(b"REPLCONF ACK -5\r\nPING\r\nREPLCONF GETACK *\r\n", None);
    }

    #[test]
    fn what_is_no_request_or_too_big_ends_the_link() {
        for said in [&b"*3\r\n:1\r\n"[..], b"*100\r\n$1\r\na\r\n", b"*2\r\n$99999999\r\nx"] {
            assert!(matches!(heard(said), Err(Cut::Protocol(_))), "{}", said.escape_ascii());
        }
    }

    #[test]
    fn what_waits_is_counted_until_it_is_sent() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = StdStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let mut wire = Wire::new(Accepted::Unix(ours), Vec::new(), Duration::from_secs(60)).unwrap();
            let bytes = Bytes::from(vec![b'x'; 1 << 20]);
            (0..8).for_each(|_| wire.send(bytes.clone()));
            let mut sent = 0;
            poll_fn(|cx| match wire.poll_flush(cx, &mut sent) {
                Poll::Pending if sent > 0 => Poll::Ready(()),
                flushed => flushed.map(|_| panic!("a socket has no such buffer")),
            })
            .await;
            assert_eq!(wire.waiting_bytes(), (8 << 20) - sent);
            drop(theirs);
            let broken = poll_fn(|cx| wire.poll_flush(cx, &mut sent)).await;
            assert!(matches!(broken, Err(Cut::Io(_))));
        });
    }
}
