//! TLS to the master and to clients: who is let in, who is refused and how that is told, and certificates that change.

mod clients;
mod master;
mod rotation;
mod settings;
mod sub_replicas;

use crate::support::certificates::{Authority, Pair};
use crate::support::ports;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::wait;

/// Flags of ours: `--name value`.
fn flags<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    pairs.iter().flat_map(|(name, value)| [*name, *value]).collect()
}

/// A real master with a TLS port beside its plain one, which wants certificates of its replicas.
struct TlsMaster {
    real: Real,
    tls_port: u16,
}

impl TlsMaster {
    fn start(name: &str, ca: &Authority, shown: &Pair, settings: &[&str]) -> Option<Self> {
        let tls_port = ports::free();
        let own = [
            format!("--tls-port {tls_port}"),
            format!("--tls-cert-file {}", shown.certificate),
            format!("--tls-key-file {}", shown.key),
            format!("--tls-ca-cert-file {}", ca.ca()),
        ];
        let all: Vec<&str> = own.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        Some(Self { real: Real::start(name, &all)?, tls_port })
    }
}

/// remora with a TLS port beside its plain one, behind a master that it reaches without TLS.
struct TlsRemora {
    remora: Remora,
    tls_port: u16,
    master: Real,
}

impl TlsRemora {
    fn start(ca: &Authority, shown: &Pair, more: &[(&str, &str)]) -> Option<Self> {
        Some(Self::follow(Real::start_with("redis-8.0", "redis-8.0.rdb", &[])?, ca, shown, more))
    }

    fn follow(master: Real, ca: &Authority, shown: &Pair, more: &[(&str, &str)]) -> Self {
        let tls_port = ports::free();
        let (ca, port) = (ca.ca(), tls_port.to_string());
        let mut all = flags(&[
            ("--tls-port", &port),
            ("--tls-cert-file", &shown.certificate),
            ("--tls-key-file", &shown.key),
            ("--tls-ca-cert-file", &ca),
        ]);
        all.extend(flags(more));
        let remora = Remora::follow(master.port, &all);
        remora.wait_linked();
        Self { remora, tls_port, master }
    }
}

/// Waits until the link's last error has these words.
#[track_caller]
fn wait_link_error(remora: &Remora, words: &str) {
    let mut client = remora.client();
    wait::until(&format!("the link's last error has {words:?}"), SOON, || {
        client.info("remora")["remora_link_last_error"].contains(words)
    });
}
