//! What happens to sub-replicas when we stop, and how clients see and cut them.

use super::{assert_all_equal, stat, wait_linked};
use crate::support::folder;
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
    let mut normal = || client.must("CLIENT LIST TYPE normal").text().lines().count();
    wait::until("this one alone is no replica", SOON, || normal() == 1);
    assert_eq!(client.must("ROLE").items()[0].text(), "slave");
    assert!(client.call("WAIT 1 100").text_starts("ERR WAIT cannot be used with replica instances"));
    assert_eq!(client.must("CLIENT KILL TYPE replica").int(), 1);
    follower.rest();
    wait::until("it is gone", SOON, || remora.replication("connected_slaves") == "0");
}

#[test]
fn after_our_own_restart_sub_replicas_resume_and_so_do_we() {
    let server = "valkey-9.1";
    let Some(master) = Real::start(server, &["--repl-backlog-size 16mb"]) else { return };
    let dir = folder::temporary();
    let flags = ["--dir", dir.path().to_str().expect("a name"), "--repl-diskless-sync-delay", "0"];
    let mut first = Remora::follow(master.port, &flags);
    first.wait_linked();
    let sub = Real::start(server, &[&format!("--replicaof 127.0.0.1 {}", first.port)]).expect("here");
    wait_linked(server, &mut sub.client());
    let mut client = master.client();
    for n in 0..1000 {
        client.must(&format!("SET key:{n} value:{n}"));
    }
    first.wait_caught_up(&mut client);
    first.signal("TERM");
    wait::until("remora ends", SOON, || first.ended().is_some());
    client.must("SET meanwhile 1");
    let second = Remora::follow(master.port, &flags);
    sub.client().must(&format!("REPLICAOF 127.0.0.1 {}", second.port));
    second.wait_linked();
    client.must("SET after 1");
    assert_all_equal(&mut client, &mut [("remora", second.client()), (server, sub.client())]);
    let (full, partial) = (stat(&mut second.client(), "sync_full"), stat(&mut second.client(), "sync_partial_ok"));
    assert_eq!((full, partial), (0, 1), "what the restarted remora gave: {}", second.log());
    assert_eq!(stat(&mut client, "sync_full"), 1, "the master saw our first sync only");
}
