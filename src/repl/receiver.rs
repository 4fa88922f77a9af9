//! Which snapshot a sub-replica can load.
//!
//! A value type that a real replica does not know makes its process exit, so whoever does not say what it is gets
//! what all of them know. A tool that only keeps the file gets what our master would have written.

use crate::command::introduction::Introduction;
use crate::config::SubReplicaDialect;
use crate::dataset::Dialect;
use crate::rdb::snapshot::Contents;

/// For whom a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Another remora: it keeps everything that we keep, with our own master's dialect.
    Remora,
    /// A real server that knows the value types of this dialect, and what it wants.
    Server(Dialect, Contents),
}

/// For whom a snapshot for this sub-replica is written; `master`: whose replica we are.
pub fn receiver(introduction: &Introduction, setting: SubReplicaDialect, master: Dialect) -> Receiver {
    if introduction.remora && introduction.contents == Contents::ALL {
        return Receiver::Remora;
    }
    let dialect = match (setting, introduction.version) {
        (SubReplicaDialect::Redis60, _) => Dialect::Redis(6, 0),
        (SubReplicaDialect::Redis70, _) => Dialect::Redis(7, 0),
        (SubReplicaDialect::Redis80, _) => Dialect::Redis(8, 0),
        (SubReplicaDialect::Valkey81, _) => Dialect::Valkey(8, 1),
        (SubReplicaDialect::Valkey91, _) => Dialect::Valkey(9, 1),
        (SubReplicaDialect::Auto, Some((9, minor, _))) => Dialect::Valkey(9, minor),
        (SubReplicaDialect::Auto, Some((10.., _, _))) => Dialect::Valkey(9, 1),
        (SubReplicaDialect::Auto, Some((8, minor, _))) => Dialect::Valkey(8, minor),
        (SubReplicaDialect::Auto, _) if introduction.rdb_channel => Dialect::Redis(8, 0),
        (SubReplicaDialect::Auto, _) if introduction.rdb_only => master,
        // Redis 6 and 7, 8.0 with that option off, Valkey 7.2: they cannot be told apart.
        (SubReplicaDialect::Auto, _) => Dialect::Redis(6, 0),
    };
    Receiver::Server(dialect, introduction.contents)
}

/// The newest release that a sub-replica may be of, by what it says and the setting; `None`: it knows all that we know, or
/// wants no stream.
pub fn newest(introduction: &Introduction, setting: SubReplicaDialect, master: Dialect) -> Option<Dialect> {
    let is_silent = introduction.version.is_none_or(|(major, ..)| major < 8) && !introduction.rdb_channel;
    match receiver(introduction, setting, master) {
        Receiver::Remora => None,
        Receiver::Server(_, contents) if introduction.rdb_only || !contents.keys => None,
        // Redis 7.4 speaks as 6.0 does.
        Receiver::Server(..) if setting == SubReplicaDialect::Auto && is_silent => Some(Dialect::Redis(7, 4)),
        Receiver::Server(dialect, _) => Some(dialect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_replica_gets_what_it_can_load() {
        let check = |introduction: &Introduction, setting: SubReplicaDialect, expected: Dialect| {
            let expected = Receiver::Server(expected, introduction.contents);
            let found = receiver(introduction, setting, Dialect::Valkey(8, 1));
            assert_eq!(found, expected, "{introduction:?} {setting:?}");
        };
        let silent = Introduction { eof: true, psync2: true, ..Introduction::default() };
        let version = |version| Introduction { version: Some(version), ..silent.clone() };
        let redis_8 = Introduction { rdb_channel: true, ..silent.clone() };
        let remora = Introduction { remora: true, ..version((9, 1, 0)) };
        let tool = Introduction { rdb_only: true, ..silent.clone() };
        let functions = Contents { keys: false, functions: true };
        for (introduction, expected) in [
            (&silent, Dialect::Redis(6, 0)),
            (&redis_8, Dialect::Redis(8, 0)),
            (&version((7, 2, 5)), Dialect::Redis(6, 0)),
            (&version((8, 0, 1)), Dialect::Valkey(8, 0)),
            (&version((8, 1, 1)), Dialect::Valkey(8, 1)),
            (&version((9, 0, 1)), Dialect::Valkey(9, 0)),
            (&version((9, 1, 2)), Dialect::Valkey(9, 1)),
            (&version((12, 0, 0)), Dialect::Valkey(9, 1)),
            (&tool, Dialect::Valkey(8, 1)),
            (&Introduction { contents: functions, ..tool.clone() }, Dialect::Valkey(8, 1)),
            (&Introduction { contents: functions, ..silent.clone() }, Dialect::Redis(6, 0)),
        ] {
            check(introduction, SubReplicaDialect::Auto, expected);
        }
        check(&silent, SubReplicaDialect::Redis70, Dialect::Redis(7, 0));
        let newest = |introduction: &Introduction, setting| newest(introduction, setting, Dialect::Redis(8, 0));
        assert_eq!(newest(&silent, SubReplicaDialect::Auto), Some(Dialect::Redis(7, 4)));
        assert_eq!(newest(&silent, SubReplicaDialect::Redis60), Some(Dialect::Redis(6, 0)));
        assert_eq!(newest(&redis_8, SubReplicaDialect::Auto), Some(Dialect::Redis(8, 0)));
        assert_eq!(newest(&version((8, 1, 1)), SubReplicaDialect::Auto), Some(Dialect::Valkey(8, 1)));
        assert_eq!([&tool, &remora].map(|from| newest(from, SubReplicaDialect::Auto)), [None, None]);
        check(&version((9, 1, 2)), SubReplicaDialect::Valkey81, Dialect::Valkey(8, 1));
        check(&tool, SubReplicaDialect::Redis60, Dialect::Redis(6, 0));
        for setting in [SubReplicaDialect::Auto, SubReplicaDialect::Redis60] {
            assert_eq!(receiver(&remora, setting, Dialect::Redis(7, 0)), Receiver::Remora);
        }
    }
}
