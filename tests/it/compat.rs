//! `compat`: clients are answered as the other family, with a real server of that family as the oracle.

use crate::support::client::Client;
use crate::support::ports;
use crate::support::real::Real;
use crate::support::remora::Remora;
use std::io::Read;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Requests that Redis 8.0 and Valkey 9.1 answer differently over the same data.
const TOLD_APART: [&str; 6] =
    ["SCRIPT HELP", "GEOPOS places here", "XREAD STREAMS stream", "ROLE HELP", "MULTI", "EVAL bad 0"];

/// The fields by which clients tell the families apart.
fn family(client: &mut Client) -> Vec<String> {
    let info = client.info("server");
    let named = ["server_name", "valkey_version"].map(|name| info.contains_key(name).to_string());
    let hello = client.call("HELLO 2");
    let server = hello.items().get(1).map(|value| value.text()).unwrap_or_default();
    named.into_iter().chain([server]).collect()
}

fn answers(client: &mut Client) -> Vec<String> {
    TOLD_APART.iter().map(|line| format!("{line}: {:?}", client.call(line))).collect()
}

fn answers_as_the_other_family(server: &str, other: &str) {
    let Some(master) = Real::start(server, &[]) else { return };
    let Some(oracle) = Real::start(other, &[]) else { return };
    for real in [&master, &oracle] {
        real.client().must("GEOADD places 13.361389338970184 38.1155563954963 here");
    }
    let remora = Remora::follow(master.port, &[]);
    remora.wait_caught_up(&mut master.client());
    let (of_master, of_other) = (master.client(), oracle.client());
    let [of_master, of_other] =
        [of_master, of_other].map(|mut client| (family(&mut client), answers(&mut client)));
    assert_ne!(of_master, of_other, "the oracles are told apart");
    let check = |setting: &str, expected: &(Vec<String>, Vec<String>)| {
        remora.client().must(&format!("CONFIG SET compat {setting}"));
        let mut client = remora.client();
        assert_eq!((family(&mut client), answers(&mut client)), *expected, "compat {setting} behind {server}");
    };
    let named = |name: &str| if name.starts_with(&other[..5]) { &of_other } else { &of_master };
    check("auto", &of_master);
    check("redis", named("redis"));
    check("valkey", named("valkey"));
    check("auto", &of_master);
}

#[test]
fn behind_a_redis_as_a_valkey() {
    answers_as_the_other_family("redis-8.0", "valkey-9.1");
}

#[test]
fn behind_a_valkey_as_a_redis() {
    answers_as_the_other_family("valkey-9.1", "redis-8.0");
}

/// An address of this machine that is not the loopback's, if it has one: asked of its routes, nothing is sent.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// What a client from there is told before the connection is closed.
fn told_from(outside: IpAddr, port: u16) -> String {
    let mut stream = TcpStream::connect((outside, port)).expect("connecting from outside");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut told = Vec::new();
    stream.read_to_end(&mut told).expect("it is closed");
    told.escape_ascii().to_string()
}

#[test]
fn who_comes_from_outside_is_refused_in_the_words_of_the_family() {
    let Some(outside) = outer_address() else { return eprintln!("passed over: there is only the loopback here") };
    let settings = ["--bind 0.0.0.0", "--protected-mode yes"];
    let real = |name: &str| Real::start(name, &settings);
    // Redis 6.0 refuses only where no `bind` is set, and advises to set it.
    let all = ["redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"].map(real);
    let ours = |master: u16, compat: &str| Remora::follow(master, &["--bind", "0.0.0.0", "--compat", compat]);
    for real in all.iter().flatten() {
        let expected = told_from(outside, real.port);
        assert!(expected.starts_with("-DENIED "), "{}: {expected}", real.name);
        let remora = ours(real.port, "auto");
        remora.wait_linked();
        assert_eq!(told_from(outside, remora.port), expected, "{}", real.name);
    }
    if let [_, Some(redis), Some(valkey), _] = &all {
        let [of_redis, of_valkey] = [redis, valkey].map(|real| told_from(outside, real.port));
        for (compat, expected) in [("auto", &of_valkey), ("redis", &of_redis), ("valkey", &of_valkey)] {
            let remora = ours(ports::free(), compat);
            assert_eq!(&told_from(outside, remora.port), expected, "no master yet, compat {compat}");
        }
    }
}
