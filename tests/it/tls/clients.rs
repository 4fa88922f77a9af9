//! Clients that speak TLS.

use super::TlsRemora;
use crate::support::certificates::{Authority, Pair, connect};
use crate::support::client::{Client, Ending, encode};
use crate::support::folder::peer;
use crate::support::remora::SOON;
use crate::support::wait;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn start(auth_clients: &str, more: &[(&str, &str)]) -> Option<(Authority, TlsRemora)> {
    let ca = Authority::new("ca");
    let server = ca.issue("remora", &["localhost", "127.0.0.1"]);
    let mut all = vec![("--tls-auth-clients", auth_clients)];
    all.extend(more);
    let tier = TlsRemora::start(&ca, &server, &all)?;
    Some((ca, tier))
}

/// What redis-cli prints for `GET s:text`, good or bad.
fn ask_with(cli: &Path, port: u16, ca: &Authority, shown: Option<&Pair>) -> String {
    let mut command = Command::new(cli);
    command.args(["--tls", "--cacert", &ca.ca(), "-h", "localhost", "-p", &port.to_string()]);
    if let Some(pair) = shown {
        command.args(["--cert", &pair.certificate, "--key", &pair.key]);
    }
    let output = command.args(["GET", "s:text"]).stdin(Stdio::null()).output().expect("running redis-cli");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

#[test]
fn redis_cli_is_served_by_what_tls_auth_clients_says() {
    let stranger = Authority::new("stranger");
    let bad = stranger.issue("client", &[]);
    for (auth_clients, without) in [("yes", false), ("optional", true), ("no", true)] {
        let Some((ca, tier)) = start(auth_clients, &[]) else { return };
        let good = ca.issue("client", &[]);
        for name in ["redis-6.0", "redis-8.0", "valkey-9.1"] {
            let Some(cli) = peer(&format!("{name}-cli")) else { return };
            let ask = |shown| ask_with(&cli, tier.tls_port, &ca, shown) == "hello world";
            assert!(ask(Some(&good)), "{name} with a certificate, {auth_clients}");
            assert_eq!(ask(None), without, "{name} without one, {auth_clients}");
            // Where none is asked for, none is looked at.
            assert_eq!(ask(Some(&bad)), auth_clients == "no", "{name} with a stranger's, {auth_clients}");
        }
        let failed = tier.remora.metric_or_zero("remora_tls_handshakes_total{result=\"failed\"}");
        assert_eq!(failed > 0.0, auth_clients != "no", "{auth_clients}");
    }
}

#[test]
fn redis_py_is_served() {
    let Some((ca, tier)) = start("yes", &[]) else { return };
    let Some(packages) = peer("python") else { return };
    let client = ca.issue("client", &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/redis_py_tls.py");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).arg(script).arg(tier.tls_port.to_string());
    let output = command.args([&ca.ca(), &client.certificate, &client.key]).output().expect("running python");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("RESP2 ok") && said.contains("RESP3 ok"), "{said}");
}

#[test]
fn replies_of_any_size_are_those_of_the_plain_port() {
    let Some((ca, tier)) = start("no", &[]) else { return };
    let mut encrypted = ca.connect(tier.tls_port, None).expect("a handshake");
    let mut plain = tier.remora.client();
    let small: Vec<Vec<&[u8]>> = (0..300).map(|_| vec![&b"HGETALL"[..], b"h:many"]).collect();
    assert_eq!(encrypted.pipeline(&small), plain.pipeline(&small));
    for line in ["DUMP z:many", "SCAN 0 COUNT 10000", "KEYS *", "CONFIG GET tls-*", "COMMAND"] {
        assert_eq!(encrypted.call(line), plain.call(line), "{line}");
    }
    // Megabytes wait while nobody reads.
    let requests: Vec<u8> = (0..200).flat_map(|_| encode(&[&b"HGETALL"[..], b"h:many"])).collect();
    encrypted.send_raw(&requests);
    let expected = plain.call("HGETALL h:many");
    for _ in 0..200 {
        assert_eq!(encrypted.reply(), expected);
    }
}

#[test]
fn a_client_that_has_said_all_still_gets_its_replies_and_a_goodbye() {
    let Some((ca, tier)) = start("no", &[]) else { return };
    let mut stream = connect(tier.tls_port, ca.client_config(None)).expect("a handshake");
    stream.write_all(&encode(&["GET", "s:text"])).expect("sent");
    stream.conn.send_close_notify();
    stream.flush().expect("sent");
    stream.sock.shutdown(Shutdown::Write).expect("half closed");
    let mut replies = Vec::new();
    // An end without a goodbye would be an error here.
    stream.read_to_end(&mut replies).expect("a clean end");
    assert_eq!(replies, b"$11\r\nhello world\r\n");
}

#[test]
fn a_plain_client_at_the_tls_port_is_closed_and_the_others_go_on() {
    let Some((ca, tier)) = start("no", &[]) else { return };
    let mut lost = Client::connect(tier.tls_port);
    lost.send_raw(b"PING\r\n");
    let (said, ending) = lost.rest(SOON);
    assert_eq!(ending, Ending::Closed);
    assert!(!said.starts_with(b"+"), "{said:?}");
    assert_eq!(ca.connect(tier.tls_port, None).expect("a handshake").must("PING").text(), "PONG");
    assert_eq!(tier.remora.metric("remora_tls_handshakes_total{result=\"failed\"}"), 1.0);
}

#[test]
fn who_says_nothing_holds_up_nobody_and_counts_as_a_client() {
    let Some((ca, tier)) = start("no", &[("--maxclients", "40")]) else { return };
    let connected = || tier.remora.metric("remora_clients");
    wait::until("nobody is connected", SOON, || connected() == 0.0);
    let silent: Vec<TcpStream> = (0..30).map(|_| Client::dial(tier.tls_port).expect("accepted")).collect();
    wait::until("the silent ones are counted", SOON, || connected() == 30.0);
    for _ in 0..20 {
        let mut client = ca.connect(tier.tls_port, None).expect("a handshake beside the silent ones");
        // Sooner than the silent ones are given up.
        client.patience(Duration::from_secs(8));
        assert_eq!(client.must("GET s:text").text(), "hello world");
    }
    let more: Vec<TcpStream> = (0..30).map(|_| Client::dial(tier.tls_port).expect("connected")).collect();
    wait::until("those beyond maxclients are turned away", SOON, || {
        tier.remora.metric("remora_clients_rejected_total") >= 1.0
    });
    drop((silent, more));
    wait::until("they are clients no longer", SOON, || connected() == 0.0);
}

#[test]
fn a_client_can_be_killed_and_knows_its_address() {
    let Some((ca, tier)) = start("no", &[]) else { return };
    let mut client = ca.connect(tier.tls_port, None).expect("a handshake");
    let info = client.must("CLIENT INFO").text();
    assert!(info.contains(&format!("laddr=127.0.0.1:{}", tier.tls_port)), "{info}");
    let id = client.must("CLIENT ID").text();
    assert_eq!(tier.remora.client().must(&format!("CLIENT KILL ID {id}")).text(), "1");
    assert_eq!(client.rest(SOON).1, Ending::Closed);
}
