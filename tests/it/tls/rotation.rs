//! Certificates that change while remora runs, as cert-manager and Kubernetes change them.

use super::TlsRemora;
use crate::support::certificates::{Authority, Pair, connect};
use crate::support::remora::SOON;
use crate::support::wait;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The certificate that a new connection is shown.
fn shown(ca: &Authority, port: u16) -> Option<Vec<u8>> {
    let stream = connect(port, ca.client_config(None)).ok()?;
    stream.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec())
}

/// A folder `data` that leads to a folder with `tls.crt` and `tls.key`, swapped in one step.
fn swap(dir: &Path, name: &str, pair: &Pair) {
    pair.copy_to(&dir.join(name));
    let (new, data) = (dir.join("data.new"), dir.join("data"));
    symlink(name, &new).expect("linked");
    fs::rename(new, data).expect("swapped");
}

struct Rotating {
    ca: Authority,
    dir: tempfile::TempDir,
    tier: TlsRemora,
    first: Pair,
}

fn start() -> Option<Rotating> {
    let ca = Authority::new("ca");
    let dir = crate::support::folder::temporary();
    let first = ca.issue("first", &["localhost"]);
    swap(dir.path(), "v1", &first);
    let at = |name: &str| dir.path().join("data").join(name).to_string_lossy().into_owned();
    let mounted = Pair { certificate: at("tls.crt"), key: at("tls.key") };
    let every = [("--tls-auto-reload-interval", "1"), ("--tls-auth-clients", "no")];
    let tier = TlsRemora::start(&ca, &mounted, &every)?;
    Some(Rotating { ca, dir, tier, first })
}

#[test]
fn a_swapped_certificate_is_for_new_connections_and_old_ones_go_on() {
    let Some(Rotating { ca, dir, tier, first }) = start() else { return };
    assert_eq!(shown(&ca, tier.tls_port), Some(first.der()));
    let mut standing = ca.connect(tier.tls_port, None).expect("a handshake");
    let second = ca.issue("second", &["localhost"]);
    swap(dir.path(), "v2", &second);
    wait::until("the new certificate is shown", SOON, || shown(&ca, tier.tls_port) == Some(second.der()));
    assert_eq!(standing.must("GET s:text").text(), "hello world");
    assert_eq!(tier.remora.metric("remora_tls_reloads_total{result=\"ok\"}"), 1.0);
    tier.remora.wait_logged(&["info", "certificates were read anew"]);
}

#[test]
fn files_that_cannot_be_used_change_nothing_until_they_are_good_again() {
    let Some(Rotating { ca, dir, tier, first }) = start() else { return };
    let failed = || tier.remora.metric_or_zero("remora_tls_reloads_total{result=\"failed\"}");
    // The key of another certificate, then half a file.
    fs::write(dir.path().join("v1/tls.key"), fs::read(ca.issue("other", &["localhost"]).key).expect("a key"))
        .expect("written");
    wait::until("a key of another certificate is noticed", SOON, || failed() >= 1.0);
    tier.remora.wait_logged(&["warn", "tls-key-file", "the key is not the certificate's"]);
    fs::write(dir.path().join("v1/tls.crt"), "-----BEGIN CERTIFICATE-----\nMII").expect("written");
    wait::until("half a file is noticed", SOON, || failed() >= 2.0);
    assert_eq!(shown(&ca, tier.tls_port), Some(first.der()), "the old ones stay");
    let second = ca.issue("second", &["localhost"]);
    swap(dir.path(), "v2", &second);
    wait::until("the new certificate is shown", SOON, || shown(&ca, tier.tls_port) == Some(second.der()));
}

#[test]
fn config_set_takes_other_files_at_once_or_is_refused() {
    let Some(Rotating { ca, tier, first, .. }) = start() else { return };
    let second = ca.issue("second", &["localhost"]);
    let mut client = tier.remora.client();
    let refused = client.call(&format!("CONFIG SET tls-cert-file {}", second.certificate));
    assert!(
        refused.text_starts("ERR CONFIG SET failed (possibly related to argument 'tls-key-file')"),
        "{refused:?}"
    );
    let refused = client.call("CONFIG SET tls-ca-cert-file /nowhere timeout 7");
    assert!(refused.text_starts("ERR CONFIG SET failed"), "{refused:?}");
    assert_eq!(client.must("CONFIG GET timeout").items()[1].text(), "0");
    assert_eq!(shown(&ca, tier.tls_port), Some(first.der()));
    client.must(&format!("CONFIG SET tls-cert-file {} tls-key-file {}", second.certificate, second.key));
    assert_eq!(shown(&ca, tier.tls_port), Some(second.der()));
    client.must("CONFIG SET tls-auth-clients yes");
    let mut unknown = ca.connect(tier.tls_port, None).expect("the refusal comes behind the handshake");
    assert!(unknown.try_call("PING").is_err(), "no certificate was shown");
    let known = ca.issue("client", &[]);
    assert_eq!(ca.connect(tier.tls_port, Some(&known)).expect("a handshake").must("PING").text(), "PONG");
}
