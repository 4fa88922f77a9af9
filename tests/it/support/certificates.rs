//! Certificates of a CA of the test's own, and a client that speaks TLS.

use super::client::{Client, Stream};
use super::folder;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A CA in a folder of its own: `ca.crt`, and what it issues.
pub struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new CA with this name.
    pub fn new(name: &str) -> Self {
        let dir = folder::temporary();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path().join("ca.crt"), certificate.pem()).expect("writing the CA");
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// Where its certificate is.
    pub fn ca(&self) -> String {
        self.path("ca.crt")
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Issues a certificate for these names (or addresses): `<file>.crt` and `<file>.key`.
    pub fn issue(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_with(file, params(file, names))
    }

    /// One that ended long ago.
    pub fn issue_expired(&self, file: &str, names: &[&str]) -> Pair {
        let mut params = params(file, names);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        self.issue_with(file, params)
    }

    fn issue_with(&self, file: &str, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair = Pair { certificate: self.path(&format!("{file}.crt")), key: self.path(&format!("{file}.key")) };
        fs::write(&pair.certificate, certificate.pem()).expect("writing the certificate");
        fs::write(&pair.key, key.serialize_pem()).expect("writing the key");
        pair
    }

    /// What a client of ours needs to connect: trusts this CA, shows a certificate if there is one.
    pub fn client_config(&self, shown: Option<&Pair>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca()).expect("the CA")).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let (chain, key) = pair.read();
                builder.with_client_auth_cert(vec![chain], key).expect("a matching key")
            }
        })
    }

    /// Connects to a port of the loopback; the server must show a certificate for `localhost`.
    pub fn connect(&self, port: u16, shown: Option<&Pair>) -> io::Result<Client> {
        let stream = connect(port, self.client_config(shown))?;
        Ok(Client::over(Box::new(stream)))
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    fn read(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        (chain, PrivateKeyDer::from_pem_file(&self.key).expect("a key"))
    }

    /// The bytes of the certificate, to tell one from another.
    pub fn der(&self) -> Vec<u8> {
        self.read().0.to_vec()
    }

    /// Copies both files into a folder as `tls.crt` and `tls.key`, as a Secret of Kubernetes has them.
    pub fn copy_to(&self, folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).expect("a folder");
        fs::copy(&self.certificate, folder.join("tls.crt")).expect("copying");
        fs::copy(&self.key, folder.join("tls.key")).expect("copying");
        folder.to_path_buf()
    }
}

/// A connection of ours that speaks TLS.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Connects and shakes hands, which with TLS 1.3 does not yet tell whether our certificate was taken.
pub fn connect(port: u16, config: Arc<ClientConfig>) -> io::Result<TlsStream> {
    let mut tcp = Client::dial(port)?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(session, tcp))
}

impl Stream for TlsStream {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}
