//! Remoras that are made to follow themselves, directly or through others: found, said, and mended by one order.

use super::assert_all_equal;
use crate::support::client::Client;
use crate::support::real::Real;
use crate::support::remora::{Remora, SOON};
use crate::support::wait;
use std::time::Duration;

fn follow(remora: &Remora, port: u16) {
    remora.client().must(&format!("REPLICAOF 127.0.0.1 {port}"));
}

fn is_in_ring(remora: &Remora) -> bool {
    let info = remora.client().info("remora");
    remora.replication("master_link_status") == "down"
        && info.get("remora_link_last_error").is_some_and(|error| error.contains("in this ring"))
}

fn below(above: &Remora) -> Remora {
    let remora = Remora::follow(above.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    remora
}

/// A master with data, and a remora that follows it.
fn top() -> Option<(Real, Remora)> {
    let master = Real::start("redis-8.0", &[])?;
    master.client().must("SET k v");
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    Some((master, remora))
}

#[test]
fn nobody_follows_itself_by_whatever_name() {
    let Some((master, remora)) = top() else { return };
    let mut client = remora.client();
    assert!(client.call(&format!("REPLICAOF 127.0.0.1 {}", remora.port)).is_error(), "its own address");
    assert_eq!(remora.replication("master_link_status"), "up", "nothing has changed");
    // An address that only the system's resolver can tell.
    client.must(&format!("REPLICAOF 127.1 {}", remora.port));
    wait::until("it finds itself", SOON, || is_in_ring(&remora));
    remora.wait_logged(&["in this ring"]);
    assert!(client.must("GET k").text_is("v"), "reads go on");
    follow(&remora, master.port);
    remora.wait_linked();
}

#[test]
fn two_and_three_in_a_ring_find_out_and_those_below_are_still_served() {
    let Some((master, a)) = top() else { return };
    let b = below(&a);
    follow(&a, b.port);
    wait::until("a finds that b follows it", SOON, || is_in_ring(&a));
    // Links that stand are not cut, and new ones are served: only a has no master.
    let c = below(&b);
    assert!(c.client().must("GET k").text_is("v"));
    assert_eq!(b.replication("master_link_status"), "up");
    follow(&a, c.port);
    wait::until("a finds that c follows it through b", SOON, || {
        is_in_ring(&a) && a.replication("master_port") == c.port.to_string()
    });
    follow(&a, master.port);
    master.client().must("SET after ring");
    let clients = |all: [&Remora; 3]| all.map(|remora| ("remora", remora.client()));
    assert_all_equal(&mut master.client(), &mut clients([&a, &b, &c]));
    assert_eq!(a.metric("remora_full_syncs_total"), 1.0, "the data were the master's all along");
}

#[test]
fn a_chain_that_grows_above_is_told_below() {
    let Some((master, b)) = top() else { return };
    // c comes before b is below a, so it hears of a only later.
    let c = below(&b);
    let a = below_master(&master);
    follow(&b, a.port);
    b.wait_linked();
    follow(&a, c.port);
    // Whoever hears of the ring first opens it: a, unless it came before c had heard of a.
    wait::until("one of them finds out", SOON, || [&a, &b, &c].iter().any(|one| is_in_ring(one)));
    follow(&a, master.port);
    master.client().must("SET after ring");
    let clients = |all: [&Remora; 3]| all.map(|remora| ("remora", remora.client()));
    assert_all_equal(&mut master.client(), &mut clients([&a, &b, &c]));
}

fn below_master(master: &Real) -> Remora {
    let remora = Remora::follow(master.port, &["--repl-diskless-sync-delay", "0"]);
    remora.wait_linked();
    remora
}

#[test]
fn a_ring_closed_by_all_at_once_does_not_stand() {
    let Some((master, a)) = top() else { return };
    let (b, c) = (below_master(&master), below_master(&master));
    std::thread::scope(|scope| {
        for (remora, next) in [(&a, b.port), (&b, c.port), (&c, a.port)] {
            scope.spawn(move || Client::connect(remora.port).must(&format!("REPLICAOF 127.0.0.1 {next}")));
        }
    });
    wait::until("one of them finds out", Duration::from_secs(60), || {
        [&a, &b, &c].iter().any(|one| is_in_ring(one))
    });
    follow(&a, master.port);
    master.client().must("SET after ring");
    let clients = |all: [&Remora; 3]| all.map(|remora| ("remora", remora.client()));
    assert_all_equal(&mut master.client(), &mut clients([&a, &b, &c]));
}
