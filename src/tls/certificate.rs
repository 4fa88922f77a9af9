//! What we read in a certificate ourselves; all checks of signatures are rustls'.

use crate::clock::UnixMs;
use x509_parser::prelude::{FromDer, X509Certificate};

/// From when to when it is valid; `None` for what is no certificate.
pub(super) fn validity(der: &[u8]) -> Option<(UnixMs, UnixMs)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let ms = |seconds: i64| UnixMs(seconds.saturating_mul(1000));
    let validity = certificate.validity();
    Some((ms(validity.not_before.timestamp()), ms(validity.not_after.timestamp())))
}

/// The common name, if there are no alternative names: those count alone where there are any.
pub(super) fn lone_common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    if certificate.subject_alternative_name().ok()?.is_some() {
        return None;
    }
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn made(names: &[&str], common_names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 1);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
    }

    #[test]
    fn validity_is_in_milliseconds() {
        let expected = (UnixMs(1_577_836_800_000), UnixMs(1_893_456_000_000));
        assert_eq!(validity(&made(&["a"], &[])), Some(expected));
        assert_eq!(validity(b"no certificate"), None);
    }

    #[test]
    fn a_common_name_counts_where_it_stands_alone() {
        let check = |names: &[&str], common_names: &[&str], expected: Option<&str>| {
            assert_eq!(lone_common_name(&made(names, common_names)).as_deref(), expected);
        };
        check(&[], &["Server"], Some("Server"));
        check(&["a.example"], &["Server"], None);
        check(&[], &[], None);
    }
}
