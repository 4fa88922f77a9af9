//! From settings and files to what a handshake needs.

use super::files::{self, Identity};
use super::verify::{MasterVerifier, Trusted};
use super::{Unusable, certificate};
use crate::clock::UnixMs;
use crate::config::{AuthClients, Config, TlsProtocols, TlsSettings};
use crate::status::Status;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};

/// What was made of one look at settings and files.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) server: Option<Arc<ServerConfig>>,
    pub(super) client: Option<Arc<ClientConfig>>,
    /// When certificates end, by what they are for.
    expiries: Vec<(&'static str, UnixMs)>,
}

impl Made {
    /// Reads the files and makes what the settings ask for; nothing if neither end is to speak TLS.
    pub(super) fn from(config: &Config) -> Result<Self, Unusable> {
        let settings = &config.tls;
        let (serves, follows) = ends(config);
        if !serves && !follows {
            return Ok(Self::default());
        }
        let passes = [
            ("tls-key-file-pass", &settings.key_file_pass),
            ("tls-client-key-file-pass", &settings.client_key_file_pass),
        ];
        if let Some((setting, _)) = passes.into_iter().find(|(_, pass)| pass.is_some()) {
            return Err(Unusable::new(setting, "encrypted keys are not supported: `openssl pkey` decrypts one"));
        }
        let authorities = files::authorities(settings)?;
        let mut made = Self::default();
        if let Some(ends) = authorities.as_ref().and_then(earliest_end) {
            made.expiries.push(("ca", ends));
        }
        if serves {
            made.serve(settings, authorities.as_ref())?;
        }
        if follows {
            made.follow(settings, authorities)?;
        }
        Ok(made)
    }

    fn serve(&mut self, settings: &TlsSettings, authorities: Option<&Authorities>) -> Result<(), Unusable> {
        let identity = identity(
            ("tls-cert-file", settings.cert_file.as_deref()),
            ("tls-key-file", settings.key_file.as_deref()),
        )?;
        let identity =
            identity.ok_or(Unusable::new("tls-cert-file", "tls-port needs one, and its tls-key-file"))?;
        self.add_end("server", &identity);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(&settings.protocols))
            .map_err(|error| Unusable::new("tls-protocols", error.to_string()))?;
        let builder = match client_verifier(settings.auth_clients, authorities)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(identity.chain, identity.key);
        self.server = Some(Arc::new(config.map_err(|error| mismatch("tls-key-file", &error))?));
        Ok(())
    }

    fn follow(&mut self, settings: &TlsSettings, authorities: Option<Authorities>) -> Result<(), Unusable> {
        let (key_setting, identity) = link_identity(settings)?;
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let trusted = if settings.skip_verify { None } else { Some(trusted(settings, authorities)?) };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(&settings.protocols))
            .map_err(|error| Unusable::new("tls-protocols", error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(MasterVerifier { trusted, algorithms }));
        let config = match identity {
            Some(identity) => {
                self.add_end("client", &identity);
                builder
                    .with_client_auth_cert(identity.chain, identity.key)
                    .map_err(|error| mismatch(key_setting, &error))?
            }
            None => builder.with_no_client_auth(),
        };
        self.client = Some(Arc::new(config));
        Ok(())
    }

    fn add_end(&mut self, purpose: &'static str, identity: &Identity) {
        self.expiries.extend(earliest_end(&identity.chain).map(|ends| (purpose, ends)));
    }

    /// Tells when the certificates end, and complains about those that have.
    pub(super) fn tell(&self, status: &Status, now: UnixMs) {
        status.tls.set_expiries(self.expiries.iter().copied());
        for (purpose, _) in self.expiries.iter().filter(|(_, ends)| *ends < now) {
            tracing::warn!(purpose, "a certificate has expired");
        }
    }
}

/// Which ends are to speak TLS: ours towards clients, ours towards the master.
pub(super) fn ends(config: &Config) -> (bool, bool) {
    let follows = config.tls.replication || config.replicaof.as_ref().is_some_and(|master| master.tls);
    (config.tls.port != 0, follows)
}

type Authorities = HashSet<CertificateDer<'static>>;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn versions(protocols: &TlsProtocols) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(protocols.v13, &version::TLS13), (protocols.v12, &version::TLS12)];
    all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, version)| version).collect()
}

/// The earliest end of certificates.
fn earliest_end<'a>(all: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> Option<UnixMs> {
    all.into_iter().filter_map(|one| certificate::validity(one)).map(|(_, until)| until).min()
}

/// Certificate and key of two settings, which are set both or not at all.
fn identity(
    (certificate, chain): (&'static str, Option<&Path>),
    (key, key_path): (&'static str, Option<&Path>),
) -> Result<Option<Identity>, Unusable> {
    match (chain, key_path) {
        (Some(chain), Some(path)) => Identity::read((certificate, chain), (key, path)).map(Some),
        (Some(_), None) => Err(Unusable::new(key, format!("{certificate} needs it"))),
        (None, Some(_)) => Err(Unusable::new(certificate, format!("{key} needs it"))),
        (None, None) => Ok(None),
    }
}

/// What is shown to the master: a certificate for that end alone, else the one for clients (as redis 6.2 and later).
fn link_identity(settings: &TlsSettings) -> Result<(&'static str, Option<Identity>), Unusable> {
    let own = identity(
        ("tls-client-cert-file", settings.client_cert_file.as_deref()),
        ("tls-client-key-file", settings.client_key_file.as_deref()),
    )?;
    if own.is_some() {
        return Ok(("tls-client-key-file", own));
    }
    let shared = identity(
        ("tls-cert-file", settings.cert_file.as_deref()),
        ("tls-key-file", settings.key_file.as_deref()),
    )?;
    Ok(("tls-key-file", shared))
}

fn mismatch(key_setting: &'static str, error: &Error) -> Unusable {
    let why = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => "the key is not the certificate's".to_owned(),
        error => error.to_string(),
    };
    Unusable::new(key_setting, why)
}

fn store(authorities: &Authorities) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(authorities.iter().cloned());
    if added == 0 {
        return Err(Unusable::new("tls-ca-cert-file", "no CA in it can be used"));
    }
    if ignored > 0 {
        tracing::debug!(ignored, "CAs that cannot be used");
    }
    Ok(roots)
}

fn client_verifier(
    auth_clients: AuthClients,
    authorities: Option<&Authorities>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Unusable> {
    if auth_clients == AuthClients::No {
        return Ok(None);
    }
    let why = "tls-auth-clients needs it, or tls-ca-cert-dir";
    let roots = store(authorities.ok_or(Unusable::new("tls-ca-cert-file", why))?)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    if auth_clients == AuthClients::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| Unusable::new("tls-ca-cert-file", error.to_string()))
}

fn trusted(settings: &TlsSettings, authorities: Option<Authorities>) -> Result<Trusted, Unusable> {
    let why = "TLS with the master needs it, or tls-ca-cert-dir";
    let authorities = authorities.ok_or(Unusable::new("tls-ca-cert-file", why))?;
    let expected = settings.expected_peer_name.as_ref().map(|text| {
        let name = ServerName::try_from(text.clone());
        let fault = |_| Unusable::new("tls-expected-peer-name", "neither a host's name nor an address");
        name.map(|name| (text.clone(), name)).map_err(fault)
    });
    Ok(Trusted { roots: store(&authorities)?, authorities, expected: expected.transpose()? })
}
