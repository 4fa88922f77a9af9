//! Links to sub-replicas: replicas that follow us as if we were their master.
//!
//! Comes in: connections that have said PSYNC or SYNC to a worker. Goes out: `+CONTINUE` and the stream from a cursor
//! of the backlog, or a snapshot of the dataset and then the stream. One thread, the feeder, does it all. Nothing is
//! added to the stream and nothing left out: what a sub-replica gets is what our master sent, byte for byte.
//!
//! `conversation` is one sub-replica from its PSYNC to its end, `talk` what holds all through it, `wire` its socket
//! with what waits to be sent, `transfer` a snapshot that several share, `snapshot` makes it, `spool` holds it for
//! those who must know its length first. It must not know `upstream`: they meet at the backlog and at the gate.

mod bell;
mod conversation;
mod cut;
mod feeder;
mod snapshot;
mod spool;
mod talk;
mod transfer;
mod wire;

pub use feeder::Feeder;

use crate::command::clients::Member;
use crate::command::introduction::Introduction;
use crate::socket::Accepted;
use tokio::sync::mpsc;

/// A connection that asks to be a sub-replica.
#[derive(Debug)]
pub struct Arrival {
    /// Its socket, bound to no runtime.
    pub socket: Accepted,
    /// Its place in CLIENT LIST, and its kill switch.
    pub member: Member,
    /// What it said of itself and asks for.
    pub introduction: Introduction,
    /// What came behind its PSYNC.
    pub unread: Vec<u8>,
}

/// The way to the feeder. As many can be on it as `maxclients` lets in.
#[derive(Clone, Debug)]
pub struct Downstream {
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl Downstream {
    /// Hands a connection over. It is closed if the feeder has stopped.
    pub fn hand_over(&self, arrival: Arrival) {
        drop(self.arrivals.send(arrival));
    }
}
