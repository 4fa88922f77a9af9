//! A connection to the master with what has been read and not yet used: whole lines during the handshake, raw bytes
//! afterwards.

use super::LinkError;
use crate::limits::HANDSHAKE_LINE_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Room that one read is offered.
const READ_BYTES: usize = 256 * 1024;

/// A stream of bytes both ways: TCP, a unix socket, in tests memory.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The connection.
pub(super) struct Wire {
    io: Box<dyn Io>,
    unread: BytesMut,
    /// Silence for this long is a fault.
    timeout: Duration,
}

impl Wire {
    /// Wraps a fresh connection.
    pub(super) fn new(io: Box<dyn Io>, timeout: Duration) -> Self {
        Self { io, unread: BytesMut::new(), timeout }
    }

    /// How long silence may last.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Silence may last this long from now on.
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The next line without its line end (CR LF, or LF alone). An empty line is a keep-alive and comes as such.
    pub(super) async fn line(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread) {
                let line = self.unread.split_to(end + 1).freeze();
                let end = if line[..end].ends_with(b"\r") { end - 1 } else { end };
                return Ok(line.slice(..end));
            }
            if self.unread.len() > HANDSHAKE_LINE_BYTES_MAX {
                let line = String::from_utf8_lossy(&self.unread[..64]).into_owned() + "...";
                return Err(LinkError::Unexpected { step: "the handshake: an endless line", line });
            }
            self.fill().await?;
        }
    }

    /// The next so many bytes.
    pub(super) async fn exactly(&mut self, length: usize) -> Result<Bytes, LinkError> {
        while self.unread.len() < length {
            self.fill().await?;
        }
        Ok(self.unread.split_to(length).freeze())
    }

    /// Waits for bytes, at most for the timeout.
    async fn fill(&mut self) -> Result<(), LinkError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.read()).await.map_err(|_| LinkError::Silent)?
    }

    /// Waits for bytes without a limit; they are added to what is unread. Loses nothing when dropped.
    pub(super) async fn read(&mut self) -> Result<(), LinkError> {
        self.unread.reserve(READ_BYTES);
        match self.io.read_buf(&mut self.unread).await {
            Ok(0) => Err(LinkError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(LinkError::broken(error)),
        }
    }

    /// Waits for bytes of the stream and adds them to `buffer`; answers how many. Loses nothing when dropped.
    pub(super) async fn read_into(&mut self, buffer: &mut Vec<u8>) -> Result<usize, LinkError> {
        buffer.reserve(READ_BYTES);
        match self.io.read_buf(buffer).await {
            Ok(0) => Err(LinkError::Closed),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(LinkError::broken(error)),
        }
    }

    /// Everything that has been read and not used.
    pub(super) fn take_unread(&mut self) -> Bytes {
        self.unread.split().freeze()
    }

    /// Sends bytes; a master that does not take them for the timeout is silent.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let sending = async {
            self.io.write_all(bytes).await?;
            // TLS may keep what the socket did not take.
            self.io.flush().await
        };
        let sent = tokio::time::timeout(self.timeout, sending).await;
        sent.map_err(|_| LinkError::Silent)?.map_err(LinkError::broken)
    }

    /// Sends one command as an array of bulk strings.
    pub(super) async fn command(&mut self, words: &[&[u8]]) -> Result<(), LinkError> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.send(&bytes).await
    }
}
