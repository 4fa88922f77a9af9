//! Faults of a handshake with the master, in words that name the setting to look at.

use std::io;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// What the peer or its certificate did, if `error` is about TLS and not about the connection.
pub fn explain(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidMessage(_) => "it does not speak TLS at this port".into(),
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::AlertReceived(alert) => refused(*alert),
        Error::PeerIncompatible(fault) => format!("no version or cipher in common: {fault:?}"),
        other => other.to_string(),
    })
}

fn certificate(fault: &CertificateError) -> String {
    match fault {
        // A bad signature: a CA of the same name, from another time or place.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate comes from no CA of tls-ca-cert-file".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{fault}; tls-expected-peer-name tells another name")
        }
        CertificateError::Other(fault) => format!("its certificate cannot be used: {fault}"),
        fault => format!("its certificate cannot be used: {fault}"),
    }
}

fn refused(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it wants a certificate of ours: tls-client-cert-file".into()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown => format!("it does not accept our certificate: {alert:?}"),
        alert => format!("it ended the conversation: {alert:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::InvalidMessage;

    #[test]
    fn faults_name_the_setting_to_look_at() {
        let check = |error: Error, expected: &str| {
            let told = explain(&io::Error::new(io::ErrorKind::InvalidData, error)).expect("a fault of TLS");
            assert!(told.contains(expected), "{told}");
        };
        check(Error::InvalidCertificate(CertificateError::UnknownIssuer), "tls-ca-cert-file");
        check(Error::InvalidCertificate(CertificateError::BadSignature), "tls-ca-cert-file");
        check(Error::InvalidCertificate(CertificateError::NotValidForName), "tls-expected-peer-name");
        check(Error::InvalidCertificate(CertificateError::Expired), "expired");
        check(Error::AlertReceived(AlertDescription::CertificateRequired), "tls-client-cert-file");
        check(Error::AlertReceived(AlertDescription::UnknownCA), "our certificate");
        check(Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS");
    }

    #[test]
    fn a_broken_connection_is_no_fault_of_tls() {
        assert_eq!(explain(&io::ErrorKind::ConnectionReset.into()), None);
        assert_eq!(explain(&io::Error::other("something")), None);
    }
}
