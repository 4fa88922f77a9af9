//! What happens to sub-replicas when we stop, and how clients see and cut them.

use crate::support::follower::Follower;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::wait;

/// A master, a remora and a scripted sub-replica that is fed.
fn fed() -> Option<(Real, Remora, Follower, u64)> {
    let master = Real::start("redis-8.0", &[])?;
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    let mut follower = Follower::introduced(remora.port);
    let offset = follower.full_sync().offset;
    follower.ack(offset);
    Some((master, remora, follower, offset))
}

#[test]
fn at_the_end_sub_replicas_get_everything_that_was_applied() {
    let Some((master, mut remora, mut follower, offset)) = fed() else { return };
    let mut client = master.client();
    for n in 0..200 {
        client.must(&format!("SET key:{n} {}", "v".repeat(10_000)));
    }
    let end = remora.wait_caught_up(&mut client);
    remora.signal("TERM");
    let rest = follower.rest();
    assert_eq!(offset + rest.len() as u64, u64::try_from(end).expect("an offset"));
    wait::until("remora ends", SOON, || remora.ended().is_some());
}

#[test]
fn clients_see_sub_replicas_and_can_cut_them() {
    let Some((_master, remora, mut follower, _)) = fed() else { return };
    let mut client = remora.client();
    let list = client.must("CLIENT LIST TYPE replica").text();
    assert!(list.lines().count() == 1 && list.contains(" flags=S ") && list.contains(" cmd=psync "), "{list}");
    assert_eq!(client.must("CLIENT LIST TYPE normal").text().lines().count(), 1);
    assert_eq!(client.must("ROLE").items()[0].text(), "slave");
    assert!(client.call("WAIT 1 100").text_starts("ERR WAIT cannot be used with replica instances"));
    assert_eq!(client.must("CLIENT KILL TYPE replica").int(), 1);
    follower.rest();
    wait::until("it is gone", SOON, || remora.replication("connected_slaves") == "0");
}
