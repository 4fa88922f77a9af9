//! SIGTERM and SIGINT end the program cleanly.

use crate::support::client::{Client, Ending};
use crate::support::fixture::Fixture;
use crate::support::remora::{Remora, SOON};
use crate::support::script::Master;
use crate::support::wait;

fn ends_cleanly(signal: &str) {
    let master = Master::listen();
    let mut remora = Remora::follow(master.port, &[]);
    let mut link = master.serve(&Fixture::load("redis-8.0.rdb").bytes, 10);
    link.wait_ack(10);
    remora.wait_linked();
    let mut client = remora.client();
    client.must("PING");
    remora.signal(signal);
    let status = wait::until_some("remora ends", SOON, || remora.ended());
    assert_eq!(status.code(), Some(0), "after SIG{signal}");
    assert_eq!(client.rest(SOON).1, Ending::Closed, "clients are let go");
    link.wait_closed(SOON);
    assert!(Client::try_connect(remora.port).is_err(), "nobody listens any more");
    assert!(!remora.log().to_lowercase().contains("panic"), "{}", remora.log());
}

#[test]
fn sigterm_ends_it_with_0() {
    ends_cleanly("TERM");
}

#[test]
fn sigint_ends_it_with_0() {
    ends_cleanly("INT");
}

#[test]
fn it_ends_while_it_looks_for_its_master_too() {
    let mut remora = Remora::follow(crate::support::ports::free(), &[]);
    remora.signal("TERM");
    assert_eq!(wait::until_some("remora ends", SOON, || remora.ended()).code(), Some(0));
}
