//! Clients never take the open files that remora itself needs.

use crate::support::client::Client;
use crate::support::fixture::Fixture;
use crate::support::remora::{Remora, SOON, limited};
use crate::support::script::Master;
use crate::support::wait;

/// So many clients that have been answered, once those of the start are gone.
fn clients(remora: &Remora, count: usize) -> Vec<Client> {
    wait::until("the start's own connections are gone", SOON, || remora.metric("remora_clients") == 0.0);
    let mut clients: Vec<Client> = (0..count).map(|_| remora.client()).collect();
    clients.iter_mut().for_each(|client| drop(client.must("PING")));
    clients
}

fn follow(master: &Master, limit: &str, maxclients: &str) -> Remora {
    let replicaof = format!("127.0.0.1 {}", master.port);
    let flags = ["--replicaof", &replicaof, "--io-threads", "2", "--maxclients", maxclients];
    Remora::start_as(limited(limit), &flags)
}

#[test]
fn the_soft_limit_is_lifted_to_what_maxclients_needs() {
    let master = Master::listen();
    let remora = follow(&master, "-Sn 64", "200");
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    let all = clients(&remora, 200);
    assert!(!remora.log().contains("open files"), "{}", remora.log());
    drop(all);
}

#[test]
fn under_a_lower_hard_limit_there_are_fewer_clients_and_the_link_comes_back() {
    let master = Master::listen();
    let remora = follow(&master, "-n 200", "1000");
    remora.wait_logged(&["maxclients 1000 needs 1120 open files", "is 200: maxclients is 80 now"]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    let mut all = clients(&remora, 80);
    let (refused, _) = remora.client().rest(SOON);
    assert_eq!(String::from_utf8_lossy(&refused), "-ERR max number of clients reached\r\n");
    link.cut();
    master.accept().handshake();
    let client = &mut all[0];
    assert_eq!(client.must("CONFIG GET maxclients").items()[1].text(), "80");
    let refused = client.call("CONFIG SET maxclients 81").text();
    assert!(refused.ends_with("is not able to handle the specified number of clients, try with 80"), "{refused}");
    client.must("CONFIG SET maxclients 50");
}

#[test]
fn it_does_not_start_where_no_client_would_have_room() {
    let ended = limited("-n 100").args(["--replicaof", "127.0.0.1 1", "--port", "0"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the limit of open files (ulimit -n) is 100"), "{said}");
}
