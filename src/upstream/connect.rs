//! TCP, TLS or unix socket to the master, with deadlines. Names are resolved at each try, so that a moved master is
//! found.

use super::LinkError;
use super::wire::Io;
use crate::config::{Address, Config, Master};
use crate::limits::TLS_HANDSHAKE_TIMEOUT;
use crate::tls::{self, Tls};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// A connection that is not there after this time is not waited for: a Service without endpoints swallows the
/// first packet, and the system would try for two minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are read ahead of TLS, which itself asks for 4 KiB at a time.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Connects to a master.
pub(super) async fn connect(master: &Master, config: &Config, tls: &Tls) -> Result<Box<dyn Io>, LinkError> {
    let timeout = Duration::from_secs(config.repl_timeout_s.max(1));
    let limit = CONNECT_TIMEOUT.min(timeout);
    match &master.address {
        Address::Unix(path) => Ok(Box::new(within(limit, UnixStream::connect(path)).await?)),
        Address::Tcp { host, port } => {
            let stream = within(limit, open(host, *port, timeout)).await?;
            if config.tls_to(master) { encrypted(stream, host, tls).await } else { Ok(Box::new(stream)) }
        }
    }
}

async fn within<T>(limit: Duration, connecting: impl Future<Output = io::Result<T>>) -> Result<T, LinkError> {
    let timed_out = |_| LinkError::Connect(io::Error::new(io::ErrorKind::TimedOut, "timed out"));
    timeout(limit, connecting).await.map_err(timed_out)?.map_err(LinkError::Connect)
}

/// A connection that the kernel gives up once nothing that we say is acknowledged for `timeout`: a master that is gone
/// without a word is noticed as soon as one that is silent.
async fn open(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let interval = timeout / 3 + Duration::from_secs(1);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(interval);
    let options = SockRef::from(&stream);
    options.set_tcp_keepalive(&keepalive)?;
    options.set_tcp_user_timeout(Some(timeout))?;
    Ok(stream)
}

/// The handshake. The host is asked for by name (SNI), and is what the certificate must be for unless
/// `tls-expected-peer-name` says otherwise.
async fn encrypted(stream: TcpStream, host: &str, tls: &Tls) -> Result<Box<dyn Io>, LinkError> {
    let fault = |why: &str| LinkError::Tls(why.to_owned());
    let config = tls.client().ok_or_else(|| fault("it is not set up: tls-replication"))?;
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| fault("the host is no name for a certificate"))?;
    let stream = BufReader::with_capacity(READ_AHEAD_BYTES, stream);
    let handshake = TlsConnector::from(config).connect(name, stream);
    let done = timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await;
    let done = done.map_err(|_| fault("the handshake takes too long; is this the master's tls-port?"))?;
    let stream = done.map_err(|error| match tls::explain(&error) {
        Some(why) => LinkError::Tls(why),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            fault("it closed the connection during the handshake; is this its tls-port?")
        }
        None => LinkError::Tls(error.to_string()),
    })?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_gives_up_a_master_that_acknowledges_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let timeout = Duration::from_secs(23);
            let stream = open("127.0.0.1", listener.local_addr().unwrap().port(), timeout).await.unwrap();
            let options = SockRef::from(&stream);
            assert_eq!(options.tcp_user_timeout().unwrap(), Some(timeout));
            assert!(options.keepalive().unwrap() && stream.nodelay().unwrap());
        });
    }
}
