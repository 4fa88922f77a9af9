//! `compat`: clients are answered as the other family, with a real server of that family as the oracle.

use crate::support::client::Client;
use crate::support::real::Real;
use crate::support::remora::Remora;

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
