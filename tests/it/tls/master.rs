//! The link to a master that speaks TLS.

use super::{TlsMaster, flags, wait_link_error};
use crate::support::certificates::{Authority, Pair};
use crate::support::compare::assert_same_digest;
use crate::support::real::for_each_master;
use crate::support::remora::{Remora, SOON};
use crate::support::wait;

/// remora behind this TLS port, showing a certificate or none.
fn follow(port: u16, ca: &Authority, shown: Option<&Pair>, more: &[(&str, &str)]) -> Remora {
    let (url, ca) = (format!("rediss://127.0.0.1:{port}"), ca.ca());
    let mut all = flags(&[("--replicaof", &url), ("--tls-ca-cert-file", &ca)]);
    if let Some(pair) = shown {
        all.extend(flags(&[("--tls-client-cert-file", &pair.certificate), ("--tls-client-key-file", &pair.key)]));
    }
    all.extend(flags(more));
    Remora::start(&all)
}

fn follows_a_master_that_wants_certificates(name: &str) {
    let ca = Authority::new("ca");
    let (server, client) = (ca.issue("master", &["127.0.0.1"]), ca.issue("replica", &[]));
    let Some(master) = TlsMaster::start(name, &ca, &server, &[]) else { return };
    let mut at_master = master.real.client();
    // Some megabytes in records of all sizes.
    at_master.must("DEBUG POPULATE 20000 key 200");
    let remora = follow(master.tls_port, &ca, Some(&client), &[]);
    remora.wait_linked();
    for round in 0..3 {
        at_master.must(&format!("RPUSH list {round} {}", "x".repeat(100_000)));
        at_master.must("INCR counter");
        remora.wait_caught_up(&mut at_master);
        assert_same_digest(&master.real, &remora);
        at_master.must("CLIENT KILL TYPE replica");
    }
    remora.wait_caught_up(&mut at_master);
    assert!(remora.metric("remora_partial_syncs_total") >= 2.0, "a cut link resumes over TLS too");
    assert!(remora.metric("remora_tls_certificate_expiry_timestamp_seconds{purpose=\"client\"}") > 1e9);
    wait::until("the lag is measured over TLS too", SOON, || {
        remora.client().info("remora")["remora_staleness_source"] == "probe"
    });
}

for_each_master!(follows_a_master_that_wants_certificates);

#[test]
fn what_is_wrong_with_a_master_is_told() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let client = ca.issue("replica", &[]);
    let good = ca.issue("good", &["127.0.0.1"]);
    let check = |server: &Pair, trusted: &Authority, shown: Option<&Pair>, more: &[(&str, &str)], words: &str| {
        let Some(master) = TlsMaster::start("redis-8.0", &ca, server, &[]) else { return };
        let remora = follow(master.tls_port, trusted, shown, more);
        wait_link_error(&remora, words);
        assert!(remora.metric("remora_reconnects_total{cause=\"tls\"}") >= 1.0, "{words}");
        assert_eq!(remora.replication("master_link_status"), "down", "{words}");
    };
    let elsewhere = ca.issue("elsewhere", &["elsewhere.example"]);
    check(&elsewhere, &ca, Some(&client), &[], "not valid for name");
    check(&good, &ca, Some(&client), &[("--tls-expected-peer-name", "other.example")], "not valid for name");
    check(&ca.issue_expired("old", &["127.0.0.1"]), &ca, Some(&client), &[], "expired");
    check(&good, &stranger, Some(&client), &[], "no CA of tls-ca-cert-file");
    check(&good, &ca, None, &[], "it wants a certificate of ours");
    check(&good, &ca, None, &[("--tls-protocols", "TLSv1.2")], "it");
    check(&good, &ca, Some(&stranger.issue("replica", &[])), &[], "does not accept our certificate");
    check(&good, &ca, Some(&ca.issue_expired("old-replica", &[])), &[], "does not accept our certificate");
}

#[test]
fn a_name_that_is_expected_and_a_check_that_is_skipped_let_the_link_come_up() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let (elsewhere, client) = (ca.issue("elsewhere", &["redis.example"]), ca.issue("replica", &[]));
    let Some(master) = TlsMaster::start("valkey-9.1", &ca, &elsewhere, &[]) else { return };
    let expected = [("--tls-expected-peer-name", "redis.example")];
    follow(master.tls_port, &ca, Some(&client), &expected).wait_linked();

    let remora = follow(master.tls_port, &stranger, Some(&client), &[("--tls-skip-verify", "yes")]);
    remora.wait_linked();
    remora.wait_logged(&["warn", "tls-skip-verify"]);
}

#[test]
fn the_setting_turns_tls_on_as_the_url_does_and_it_can_be_changed() {
    let ca = Authority::new("ca");
    let (server, client) = (ca.issue("master", &["127.0.0.1"]), ca.issue("replica", &[]));
    let Some(master) = TlsMaster::start("redis-8.0", &ca, &server, &[]) else { return };
    let remora = Remora::follow(
        master.tls_port,
        &flags(&[
            ("--tls-cert-file", &client.certificate),
            ("--tls-key-file", &client.key),
            ("--tls-ca-cert-file", &ca.ca()),
        ]),
    );
    wait::until("a link without TLS fails", SOON, || remora.metric_or_zero("remora_reconnects_total") >= 1.0);
    remora.client().must("CONFIG SET tls-replication yes");
    remora.wait_linked();
}

#[test]
fn a_master_that_speaks_no_tls_is_told_apart() {
    let ca = Authority::new("ca");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let remora = follow(port, &ca, None, &[]);
    let (mut stream, _) = listener.accept().expect("a connection");
    std::io::Write::write_all(&mut stream, b"-ERR unknown command\r\n").expect("sent");
    wait_link_error(&remora, "does not speak TLS");
}
