//! remora as a master: real servers, other remoras and scripted replicas below it.

mod deep;
mod full;
mod handshake;
mod life;
mod limits;
mod load;
mod real;
mod rings;

use crate::support::client::Client;
use crate::support::compare::differing_keys;
use crate::support::remora::master_offset;
use crate::support::wait;
use std::time::Duration;

/// Waits until every one of these has the master's offset and digest. While a master deletes what expires, the digests
/// of two moments may differ: asked again as long as anything moves.
#[track_caller]
fn assert_all_equal(master: &mut Client, below: &mut [(&str, Client)]) {
    for (name, client) in below.iter_mut() {
        let mut seen = String::new();
        let same = || {
            let offset = master_offset(master);
            let info = client.info("replication");
            let own = info["slave_repl_offset"].parse::<i64>().unwrap_or(-1);
            if info["master_link_status"] != "up" || own < offset {
                seen = format!("offset {own} of {offset}, link {}", info["master_link_status"]);
                return false;
            }
            let (expected, found) = (master.digest(), client.digest());
            seen = format!("digest {found}, the master's is {expected}, offset {own} of {offset}");
            expected == found
        };
        let equal = wait::within(Duration::from_secs(60), same);
        if !equal {
            panic!("{name} is not equal: {seen}; keys:\n{}", differing_keys(master, client).join("\n"));
        }
    }
}

/// A counter of INFO stats.
#[track_caller]
fn stat(client: &mut Client, name: &str) -> i64 {
    client.info("stats")[name].parse().expect("a number")
}

/// Waits until the link of this replica is up.
#[track_caller]
fn wait_linked(name: &str, client: &mut Client) {
    wait::until(&format!("the link of {name} is up"), Duration::from_secs(60), || {
        client.info("replication").get("master_link_status").is_some_and(|status| status == "up")
    });
}
