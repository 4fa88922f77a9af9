//! Sub-replicas that reach us over TLS: the real servers, and other remoras.

use super::{TlsRemora, flags};
use crate::support::certificates::{Authority, Pair};
use crate::support::client::Client;
use crate::support::real::{Real, for_each_master};
use crate::support::remora::{Remora, SOON};
use crate::support::{ports, wait};

/// A remora with a TLS port that wants certificates, behind such a master, and a certificate for whoever comes.
fn tier(master: &str) -> Option<(Authority, TlsRemora, Pair)> {
    let ca = Authority::new("ca");
    let (server, replica) = (ca.issue("remora", &["localhost", "127.0.0.1"]), ca.issue("replica", &["127.0.0.1"]));
    let tier = TlsRemora::follow(Real::start(master, &[])?, &ca, &server, &[("--repl-diskless-sync-delay", "0")]);
    // Some megabytes, in records of all sizes.
    let value = "x".repeat(20_000);
    let writes: Vec<Vec<String>> =
        (0..300).map(|n| vec!["SET".to_owned(), format!("key:{n}"), value[..n * 60].to_owned()]).collect();
    tier.master.client().pipeline(&writes);
    Some((ca, tier, replica))
}

/// Writes at the master, cuts the sub-replica off, and waits each time until it holds what the master holds.
#[track_caller]
fn follows_through_cuts(tier: &TlsRemora, mut at_bottom: Client) {
    let mut at_master = tier.master.client();
    for round in 0..3 {
        at_master.must(&format!("RPUSH list {round} {}", "x".repeat(300_000)));
        at_master.must(&format!("SET round {round}"));
        let expected = at_master.digest();
        wait::until(&format!("round {round} arrives below"), SOON, || {
            at_bottom.call("DEBUG DIGEST").text_is(&expected)
        });
        tier.remora.client().must("CLIENT KILL TYPE replica");
    }
}

fn feeds_a_real_server(name: &str) {
    let Some((ca, tier, replica)) = tier(name) else { return };
    let own = [
        format!("--tls-port {}", ports::free()),
        format!("--tls-cert-file {}", replica.certificate),
        format!("--tls-key-file {}", replica.key),
        format!("--tls-ca-cert-file {}", ca.ca()),
        "--tls-replication yes".to_owned(),
        format!("--replicaof 127.0.0.1 {}", tier.tls_port),
    ];
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let Some(below) = Real::start(name, &own) else { return };
    follows_through_cuts(&tier, below.client());
}

for_each_master!(feeds_a_real_server);

#[test]
fn feeds_another_remora() {
    let Some((ca, tier, replica)) = tier("valkey-9.1") else { return };
    let (url, ca) = (format!("rediss://127.0.0.1:{}", tier.tls_port), ca.ca());
    let below = Remora::start(&flags(&[
        ("--replicaof", &url),
        ("--tls-ca-cert-file", &ca),
        ("--tls-client-cert-file", &replica.certificate),
        ("--tls-client-key-file", &replica.key),
    ]));
    follows_through_cuts(&tier, below.client());
    assert!(below.metric("remora_partial_syncs_total{result=\"ok\"}") >= 2.0, "a cut link resumes");
}
