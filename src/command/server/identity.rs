//! What remora says it is: clients choose features by it, so it is the master's family and release, and remora's
//! own version stands beside it.

use crate::dataset::Dialect;

/// Names and versions for HELLO and INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) struct Identity {
    /// `redis` or `valkey`.
    pub(in crate::command) server: &'static str,
    /// The version that HELLO names.
    pub(in crate::command) version: String,
    /// `redis_version` of INFO: Valkey goes on saying 7.2.4 there.
    pub(in crate::command) redis_version: String,
}

impl Identity {
    /// The identity for a master of this kind.
    pub(in crate::command) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Redis(major, minor) => {
                let version = format!("{major}.{minor}.0");
                Self { server: "redis", redis_version: version.clone(), version }
            }
            Dialect::Valkey(major, minor) => {
                Self { server: "valkey", version: format!("{major}.{minor}.0"), redis_version: "7.2.4".into() }
            }
        }
    }
}
