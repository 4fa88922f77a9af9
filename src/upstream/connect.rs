//! TCP or unix socket to the master, with a deadline. Names are resolved at each try, so that a moved master is found.

use super::LinkError;
use super::wire::Io;
use crate::config::{Address, Config, Master};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// A connection that is not there after this time is not waited for: a Service without endpoints swallows the
/// first packet, and the system would try for two minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to a master.
pub(super) async fn connect(master: &Master, config: &Config) -> Result<Box<dyn Io>, LinkError> {
    let limit = CONNECT_TIMEOUT.min(Duration::from_secs(config.repl_timeout_s.max(1)));
    let timed_out = |_| LinkError::Connect(io::Error::new(io::ErrorKind::TimedOut, "timed out"));
    let connected = tokio::time::timeout(limit, open(&master.address)).await.map_err(timed_out)?;
    connected.map_err(LinkError::Connect)
}

async fn open(address: &Address) -> io::Result<Box<dyn Io>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30));
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            Ok(Box::new(stream))
        }
    }
}
