//! A client's socket of either kind, and what CLIENT LIST says of it.

use crate::command::clients::Endpoint;
use std::io;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection as the operating system gave it, not yet bound to a worker's runtime.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A client's socket on a worker.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepted {
    /// Takes the socket into the runtime of the calling thread.
    pub(super) fn register(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl Socket {
    /// Reads once if there is something to read.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => std::pin::Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => std::pin::Pin::new(stream).poll_read(cx, buf),
        }
    }

    /// Writes what fits without waiting; 0 if nothing does.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Waits until something can be written.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Who is at the other end. `path`: the unix socket we listen on.
    pub(super) fn endpoint(&self, path: &str, worker: usize) -> Endpoint {
        match self {
            Self::Tcp(stream) => {
                let text = |address: io::Result<std::net::SocketAddr>| {
                    address.map_or_else(|_| "?:0".to_owned(), |address| address.to_string())
                };
                let local = stream.peer_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
                let (addr, laddr) = (text(stream.peer_addr()), text(stream.local_addr()));
                Endpoint { addr, laddr, fd: stream.as_raw_fd(), local, unix: false, worker }
            }
            Self::Unix(stream) => {
                let addr = format!("{path}:0");
                Endpoint { laddr: addr.clone(), addr, fd: stream.as_raw_fd(), local: true, unix: true, worker }
            }
        }
    }
}
