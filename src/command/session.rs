//! Per-client state without the socket: protocol, database, name, authentication.

use crate::position::DbIndex;
use crate::resp::reply::Proto;

/// The state of one client connection.
#[derive(Debug, Default)]
pub struct Session {
    /// CLIENT ID, unique in this process.
    pub id: u64,
    /// Selected database.
    pub db: DbIndex,
    /// RESP2 or RESP3.
    pub proto: Proto,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// AUTH succeeded or is not needed.
    pub authenticated: bool,
}
