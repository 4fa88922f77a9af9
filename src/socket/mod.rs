//! A client's connection of any kind: TCP, unix, TLS. It can be read and written without waiting, and it can move from
//! one thread's runtime to another's.
//!
//! Whoever accepts it hands it to a worker, and a worker to whoever feeds a sub-replica. It knows no protocol.

mod tls;

pub use tls::TlsSocket;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::ServerConnection;

/// A connection that is bound to no runtime, so that it can be sent to another thread.
#[derive(Debug)]
pub enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    /// After its handshake.
    Tls(std::net::TcpStream, Box<ServerConnection>),
}

/// A connection in the runtime of a thread.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsSocket>),
}

impl Accepted {
    /// Takes the connection into the runtime of the calling thread.
    pub fn register(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
            Self::Tls(stream, session) => {
                Socket::Tls(Box::new(TlsSocket::new(TcpStream::from_std(stream)?, session)))
            }
        })
    }
}

impl Socket {
    /// Takes the connection out of the runtime, to be registered in another. What a TLS connection has read and not
    /// handed out, or taken and not sent, goes with it.
    pub fn release(self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(stream) => Accepted::Tcp(stream.into_std()?),
            Self::Unix(stream) => Accepted::Unix(stream.into_std()?),
            Self::Tls(stream) => {
                let (stream, session) = stream.into_parts();
                Accepted::Tls(stream.into_std()?, session)
            }
        })
    }

    /// Reads once if there is something to read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => stream.poll_read(cx, buf),
        }
    }

    /// Writes what fits without waiting; 0 if nothing does. A TLS connection may keep a part of what it took, at most
    /// some 64 KiB: see [`Socket::drain`].
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tls(stream) => stream.try_write(bytes),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Waits until something can be written.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
            Self::Tls(stream) => stream.tcp().writable().await,
        }
    }

    /// Waits until the system has taken all that [`Socket::try_write`] took. Plain sockets keep nothing.
    pub async fn drain(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.drain().await,
        }
    }

    /// Says that nothing more will come, as far as that needs no waiting. Plain sockets say it by being closed.
    pub fn say_goodbye(&mut self) {
        if let Self::Tls(stream) = self {
            stream.say_goodbye();
        }
    }

    /// The peer's address; `None` for a unix socket, and for a peer that is already gone.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.tcp().and_then(|stream| stream.peer_addr().ok())
    }

    /// The address on our side; `None` for a unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        self.tcp().and_then(|stream| stream.local_addr().ok())
    }

    /// Connected through a unix socket?
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.tcp()),
            Self::Unix(_) => None,
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
            Self::Tls(stream) => stream.tcp().poll_write_ready(cx),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.tcp().as_fd(),
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.tcp().as_raw_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Self::poll_read(self.get_mut(), cx, buf)
    }
}

/// As with every buffering writer, what was written is only sent for sure after a flush.
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        loop {
            match socket.try_write(bytes)? {
                0 if !bytes.is_empty() => ready!(socket.poll_write_ready(cx))?,
                taken => return Poll::Ready(Ok(taken)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        while let Self::Tls(stream) = socket {
            if stream.push()? {
                break;
            }
            ready!(socket.poll_write_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_goodbye();
        ready!(self.as_mut().poll_flush(cx))?;
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.tcp_mut()).poll_shutdown(cx),
        }
    }
}
