//! How old the data are, and what clients can do about it.

mod blocked;
mod lag;
mod limits;
mod stale;
mod wait;

use crate::support::client::{Client, Value};
use crate::support::real::Real;
use crate::support::remora::Remora;
use std::collections::BTreeMap;
use std::process::Command;

const OLD: &str = "MASTERDOWN The data may be older than 'replica-max-lag-seconds' allows.";

/// The fields of CLIENT STALENESS.
#[track_caller]
fn staleness(client: &mut Client) -> BTreeMap<String, Value> {
    let reply = client.must("CLIENT STALENESS");
    reply.items().chunks_exact(2).map(|pair| (pair[0].text(), pair[1].clone())).collect()
}

/// The age that remora says, milliseconds, and its source.
#[track_caller]
fn age(remora: &Remora) -> (i64, String) {
    let told = staleness(&mut remora.client());
    (told["staleness-ms"].int(), told["source"].text())
}

/// Id and offset of a master, as a client asks for them.
#[track_caller]
fn position(master: &mut Client) -> (String, i64) {
    let info = master.info("replication");
    (info["master_replid"].clone(), info["master_repl_offset"].parse().expect("an offset"))
}

/// A server that stands still until this is dropped.
struct Stopped(u32);

impl Stopped {
    #[track_caller]
    fn stop(server: &Real) -> Self {
        signal(server.pid(), "STOP");
        Self(server.pid())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

#[track_caller]
fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("running kill").success(), "kill -{name} {pid}");
}
