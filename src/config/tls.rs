//! The settings of TLS, under redis.conf's names, and two that redis 8.0 does not have (whom we expect as a master).
//! What stands in the files is looked at later, by `tls`.

use super::table::{Setting, number, put, revealed, secret, shown, text, yes_no};
use super::value::{self, Secret, words};
use std::path::{Path, PathBuf};

words! {
    /// Whether clients must show a certificate.
    AuthClients {
        /// None is asked for.
        No = "no",
        /// A connection without one ends at the handshake.
        Yes = "yes",
        /// One that is shown must be good.
        Optional = "optional",
    }
}

/// The `tls-*` settings. Paths are relative to `dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// TCP port for clients that speak TLS; 0 is none.
    pub port: u16,
    /// Our certificate and those between it and the CA.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// Passphrase of the key.
    pub key_file_pass: Option<Secret>,
    /// The certificate shown to the master, if another one.
    pub client_cert_file: Option<PathBuf>,
    /// Its private key.
    pub client_key_file: Option<PathBuf>,
    /// Passphrase of that key.
    pub client_key_file_pass: Option<Secret>,
    /// CAs that we trust, in one file ...
    pub ca_cert_file: Option<PathBuf>,
    /// ... and in all files of a folder.
    pub ca_cert_dir: Option<PathBuf>,
    /// Must clients show a certificate?
    pub auth_clients: AuthClients,
    /// Speak TLS with the master.
    pub replication: bool,
    /// Versions of the protocol.
    pub protocols: TlsProtocols,
    /// The name in the master's certificate, where it is not the host that we connect to.
    pub expected_peer_name: Option<String>,
    /// Take any certificate for the master's.
    pub skip_verify: bool,
    /// How often changed files are looked for, seconds; 0 is never.
    pub auto_reload_interval_s: u64,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            port: 0,
            cert_file: None,
            key_file: None,
            key_file_pass: None,
            client_cert_file: None,
            client_key_file: None,
            client_key_file_pass: None,
            ca_cert_file: None,
            ca_cert_dir: None,
            auth_clients: AuthClients::Yes,
            replication: false,
            protocols: TlsProtocols::default(),
            expected_peer_name: None,
            skip_verify: false,
            auto_reload_interval_s: 5,
        }
    }
}

/// Versions of TLS that are spoken. The text is kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProtocols {
    text: String,
    /// TLS 1.2.
    pub v12: bool,
    /// TLS 1.3.
    pub v13: bool,
}

impl Default for TlsProtocols {
    fn default() -> Self {
        Self { text: String::new(), v12: true, v13: true }
    }
}

impl TlsProtocols {
    /// Reads names of versions; nothing is the default. TLS 1.0 and 1.1 are passed over beside newer ones, and
    /// refused where they are all.
    fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self { text: text.to_owned(), v12: false, v13: false };
        for word in text.split_ascii_whitespace() {
            match word.to_ascii_lowercase().as_str() {
                "tlsv1" | "tlsv1.1" => {}
                "tlsv1.2" => found.v12 = true,
                "tlsv1.3" => found.v13 = true,
                // The words of redis 8.0 in its log.
                _ => return Err("Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.".into()),
            }
        }
        match found {
            Self { v12: false, v13: false, .. } if text.trim_ascii().is_empty() => Ok(Self::default()),
            Self { v12: false, v13: false, .. } => Err("TLSv1 and TLSv1.1 are not spoken".into()),
            found => Ok(found),
        }
    }
}

fn path(words: &[&[u8]]) -> Result<Option<PathBuf>, String> {
    text(words).map(value::unless_empty)
}

fn shown_path(path: Option<&Path>) -> Vec<u8> {
    shown(path.and_then(Path::to_str))
}

/// The rows, in the order of `--help`.
pub(super) const ROWS: &[Setting] = &[
    Setting::new(
        "tls-port",
        "PORT",
        "TCP port for clients that speak TLS; 0 is none",
        |c, w| put(&mut c.tls.port, number(w, 0, 65535)),
        |c| c.tls.port.to_string().into(),
    ),
    Setting::new(
        "tls-cert-file",
        "PATH",
        "Certificate shown to clients, with those between it and the CA (PEM)",
        |c, w| put(&mut c.tls.cert_file, path(w)),
        |c| shown_path(c.tls.cert_file.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-key-file",
        "PATH",
        "Private key of tls-cert-file (PEM)",
        |c, w| put(&mut c.tls.key_file, path(w)),
        |c| shown_path(c.tls.key_file.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-key-file-pass",
        "PASSWORD",
        "Refused: encrypted keys are not read",
        |c, w| put(&mut c.tls.key_file_pass, Ok(secret(w))),
        |c| revealed(c.tls.key_file_pass.as_ref()),
    )
    .live()
    .secret(),
    Setting::new(
        "tls-client-cert-file",
        "PATH",
        "Certificate shown to the master; tls-cert-file if not set",
        |c, w| put(&mut c.tls.client_cert_file, path(w)),
        |c| shown_path(c.tls.client_cert_file.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-client-key-file",
        "PATH",
        "Private key of tls-client-cert-file",
        |c, w| put(&mut c.tls.client_key_file, path(w)),
        |c| shown_path(c.tls.client_key_file.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-client-key-file-pass",
        "PASSWORD",
        "Refused: encrypted keys are not read",
        |c, w| put(&mut c.tls.client_key_file_pass, Ok(secret(w))),
        |c| revealed(c.tls.client_key_file_pass.as_ref()),
    )
    .live()
    .secret(),
    Setting::new(
        "tls-ca-cert-file",
        "PATH",
        "CAs that the certificates of master and clients must come from (PEM)",
        |c, w| put(&mut c.tls.ca_cert_file, path(w)),
        |c| shown_path(c.tls.ca_cert_file.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-ca-cert-dir",
        "PATH",
        "Folder whose files hold further such CAs",
        |c, w| put(&mut c.tls.ca_cert_dir, path(w)),
        |c| shown_path(c.tls.ca_cert_dir.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-auth-clients",
        "no|yes|optional",
        "Whether clients must show a certificate",
        |c, w| put(&mut c.tls.auth_clients, text(w).and_then(AuthClients::parse)),
        |c| c.tls.auth_clients.as_str().into(),
    )
    .live(),
    Setting::new(
        "tls-replication",
        "yes|no",
        "Speak TLS with the master; a rediss:// URL turns it on too",
        |c, w| put(&mut c.tls.replication, text(w).and_then(value::yes_no)),
        |c| yes_no(c.tls.replication),
    )
    .live(),
    Setting::new(
        "tls-protocols",
        "VERSIONS",
        "\"TLSv1.2 TLSv1.3\" or one of them; both if not set",
        |c, w| put(&mut c.tls.protocols, text(w).and_then(TlsProtocols::parse)),
        |c| c.tls.protocols.text.clone().into(),
    )
    .live(),
    Setting::new(
        "tls-expected-peer-name",
        "NAME",
        "Name that the master's certificate must have; the host that is connected to if not set",
        |c, w| put(&mut c.tls.expected_peer_name, text(w).map(value::unless_empty)),
        |c| shown(c.tls.expected_peer_name.as_deref()),
    )
    .live(),
    Setting::new(
        "tls-skip-verify",
        "yes|no",
        "Take any certificate for the master's: whoever sits between can read and change everything",
        |c, w| put(&mut c.tls.skip_verify, text(w).and_then(value::yes_no)),
        |c| yes_no(c.tls.skip_verify),
    )
    .live(),
    Setting::new(
        "tls-auto-reload-interval",
        "SECONDS",
        "How often certificates, keys and CAs are looked at and read anew if changed; 0 is never",
        |c, w| put(&mut c.tls.auto_reload_interval_s, number(w, 0, i32::MAX.into())),
        |c| c.tls.auto_reload_interval_s.to_string().into(),
    )
    .live(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_names_of_versions() {
        let check = |text: &str, expected: Option<(bool, bool)>| {
            let found = TlsProtocols::parse(text).ok().map(|protocols| (protocols.v12, protocols.v13));
            assert_eq!(found, expected, "{text:?}");
        };
        check("", Some((true, true)));
        check("TLSv1.3", Some((false, true)));
        check("tlsv1.2 TLSV1.3", Some((true, true)));
        check("TLSv1.1 TLSv1.2", Some((true, false)));
        check("TLSv1 TLSv1.1", None);
        check("TLSv1.4", None);
        check("SSLv3 TLSv1.3", None);
    }
}
