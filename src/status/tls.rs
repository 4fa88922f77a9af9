//! TLS: when certificates end, how handshakes and reloads went.

use super::Tally;
use crate::clock::UnixMs;
use parking_lot::Mutex;

/// Numbers about TLS.
#[derive(Debug, Default)]
pub struct TlsStatus {
    /// Handshakes with clients by result: ok, failed, timeout, dropped.
    pub handshakes: Tally,
    /// Times that changed files were read, by result: ok, failed.
    pub reloads: Tally,
    expiries: Mutex<Vec<(&'static str, UnixMs)>>,
}

impl TlsStatus {
    /// When the certificates in use end, by what they are for: server, client, ca.
    pub fn set_expiries(&self, expiries: impl IntoIterator<Item = (&'static str, UnixMs)>) {
        *self.expiries.lock() = expiries.into_iter().collect();
    }

    /// The same, to be read.
    pub fn expiries(&self) -> Vec<(&'static str, UnixMs)> {
        self.expiries.lock().clone()
    }
}
