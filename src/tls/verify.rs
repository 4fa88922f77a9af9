//! Is the server at the other end the master that we mean?

use super::certificate;
use crate::clock::UnixMs;
use std::collections::HashSet;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How the master's certificate is looked at.
#[derive(Debug)]
pub(super) struct MasterVerifier {
    /// Whom we trust; `None` takes any certificate.
    pub(super) trusted: Option<Trusted>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// The CAs, and the name if it is not the host's.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) roots: RootCertStore,
    pub(super) authorities: HashSet<CertificateDer<'static>>,
    pub(super) expected: Option<(String, ServerName<'static>)>,
}

impl Trusted {
    fn check(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(end)?;
        if self.authorities.contains(end) {
            // A certificate that signed itself and is trusted by name: OpenSSL takes it too, and there is no chain.
            check_validity(end, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, algorithms.all)?;
        }
        let Some((text, expected)) = &self.expected else { return verify_server_name(&parsed, host) };
        // Certificates made for Redis often have a common name alone, which OpenSSL compares too. We do it only for a
        // name that somebody wrote down.
        let common = || certificate::lone_common_name(end).is_some_and(|name| name.eq_ignore_ascii_case(text));
        verify_server_name(&parsed, expected).or_else(|error| if common() { Ok(()) } else { Err(error) })
    }
}

fn check_validity(end: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (from, until) = certificate::validity(end).ok_or(CertificateError::BadEncoding)?;
    let now = UnixMs(i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
    match now {
        now if now < from => Err(CertificateError::NotValidYet),
        now if now > until => Err(CertificateError::Expired),
        _ => Ok(()),
    }
}

impl ServerCertVerifier for MasterVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trusted) = &self.trusted {
            trusted.check(end_entity, intermediates, server_name, now, &self.algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
    use std::time::Duration;
    use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

    struct Authority {
        certificate: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn params(common: &str, names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        params
    }

    fn authority(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    fn issued(by: &Authority, common: &str, names: &[&str]) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        params(common, names).signed_by(&key, &by.issuer).expect("a certificate").der().clone()
    }

    fn check(
        trusted: &CertificateDer<'static>,
        expected: Option<&str>,
        shown: &CertificateDer<'static>,
        year: i32,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).expect("a root");
        let name = |text: &str| ServerName::try_from(text.to_owned()).expect("a name");
        let trusted = Trusted {
            roots,
            authorities: HashSet::from([trusted.clone()]),
            expected: expected.map(|text| (text.to_owned(), name(text))),
        };
        let algorithms = default_provider().signature_verification_algorithms;
        let verifier = MasterVerifier { trusted: Some(trusted), algorithms };
        let seconds = date_time_ymd(year, 6, 1).unix_timestamp();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().expect("after 1970")));
        verifier.verify_server_cert(shown, &[], &name("127.0.0.1"), &[], now).map(drop)
    }

    fn because(fault: &Result<(), Error>) -> String {
        format!("{:?}", fault.as_ref().expect_err("refused"))
    }

    #[test]
    fn chain_name_and_time_must_be_right() {
        let (ca, other) = (authority("ca"), authority("other"));
        let good = issued(&ca, "master", &["localhost", "127.0.0.1"]);
        assert_eq!(check(&ca.certificate, None, &good, 2025), Ok(()));
        assert!(because(&check(&other.certificate, None, &good, 2025)).contains("UnknownIssuer"));
        assert!(because(&check(&ca.certificate, None, &good, 2031)).contains("Expired"));
        assert!(because(&check(&ca.certificate, None, &good, 2019)).contains("NotValidYet"));
        let elsewhere = issued(&ca, "127.0.0.1", &["elsewhere.example"]);
        assert!(because(&check(&ca.certificate, None, &elsewhere, 2025)).contains("NotValidForName"));
    }

    #[test]
    fn an_expected_name_counts_instead_of_the_host() {
        let ca = authority("ca");
        let elsewhere = issued(&ca, "master", &["elsewhere.example"]);
        assert_eq!(check(&ca.certificate, Some("elsewhere.example"), &elsewhere, 2025), Ok(()));
        assert!(because(&check(&ca.certificate, Some("master"), &elsewhere, 2025)).contains("NotValidForName"));
        let here = issued(&ca, "master", &["127.0.0.1"]);
        assert!(
            because(&check(&ca.certificate, Some("elsewhere.example"), &here, 2025)).contains("NotValidForName")
        );
    }

    #[test]
    fn a_common_name_alone_counts_if_it_is_expected() {
        let ca = authority("ca");
        let old = issued(&ca, "Server-only", &[]);
        assert_eq!(check(&ca.certificate, Some("server-only"), &old, 2025), Ok(()));
        assert!(check(&ca.certificate, Some("another"), &old, 2025).is_err());
        assert!(check(&ca.certificate, None, &old, 2025).is_err());
    }

    #[test]
    fn a_certificate_that_signed_itself_can_be_trusted_by_itself() {
        // As `openssl req -x509` makes them: its own CA.
        let mut own = params("own", &["127.0.0.1"]);
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = own.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().clone();
        assert_eq!(check(&own, None, &own, 2025), Ok(()));
        assert!(because(&check(&own, None, &own, 2031)).contains("Expired"));
        assert!(check(&own, Some("elsewhere.example"), &own, 2025).is_err());
        assert!(check(&authority("ca").certificate, None, &own, 2025).is_err());
    }
}
