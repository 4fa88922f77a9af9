//! Directives of real redis.conf and valkey.conf files that are not settings of remora, so that such a file can
//! be given unchanged: most are passed over with a warning, those whose loss would weaken security are refused.

use super::live::IMMUTABLE_TEXT;
use super::value;

/// What to do with a directive that is no setting of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It says what remora does anyway.
    AsItIs,
    /// Real servers know it; it does not concern a replica like this.
    Ignored,
    /// Going on without it would be unsafe or plainly not what was wanted.
    Refused(&'static str),
    /// Nobody knows it.
    Unknown,
}

/// Judges a directive by its lower-case name and its words.
pub(super) fn judge(name: &str, words: &[&[u8]]) -> Foreign {
    let unset = words.iter().all(|word| word.is_empty() || word.eq_ignore_ascii_case(b"no"));
    match name {
        "rename-command" => Foreign::Refused(
            "not supported; take commands away with ACL rules, such as `user default ... -config`",
        ),
        "tls-ciphers" | "tls-ciphersuites" if !unset => Foreign::Refused(
            "ciphers cannot be chosen; those that are safe are offered, and tls-protocols can be narrowed",
        ),
        "cluster-enabled" if !unset => Foreign::Refused("remora is no member of a cluster"),
        _ if let Some((_, value)) = fixed(name) => {
            if words.len() <= 1 && is_same(value, words.first().copied().unwrap_or_default()) {
                Foreign::AsItIs
            } else {
                Foreign::Ignored
            }
        }
        _ if IGNORED.split_ascii_whitespace().any(|known| known == name) => Foreign::Ignored,
        _ => Foreign::Unknown,
    }
}

/// Why a value that real servers ship in their file for a setting that remora has too is passed over.
pub(super) fn passed_over(setting: &str, words: &[&[u8]]) -> Option<&'static str> {
    let [word] = words else { return None };
    let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<i32>().ok());
    match setting {
        // All of them ship 100: a Sentinel that reads it may choose remora, which refuses, and then promotes nobody.
        "replica-priority" if number.is_some_and(|priority| priority > 0) => {
            Some("remora is never promoted, so Sentinel reads 0")
        }
        _ => None,
    }
}

/// Names of real servers that have one value here, which says what remora does: CONFIG GET answers it, and the file and
/// CONFIG SET may name it too.
pub(super) static FIXED: &[(&str, &str)] = &[
    ("activedefrag", "no"),
    ("appendonly", "no"),
    ("bind-source-addr", ""),
    ("client-query-buffer-limit", "1073741824"),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("dbfilename", "remora.rdb"),
    ("disable-thp", "no"),
    ("dual-channel-replication-enabled", "no"),
    ("dynamic-hz", "no"),
    ("enable-module-command", "no"),
    ("enable-protected-configs", "no"),
    ("hz", "10"),
    ("import-mode", "no"),
    ("io-threads-do-reads", "yes"),
    ("jemalloc-bg-thread", "no"),
    ("lazyfree-lazy-eviction", "yes"),
    ("lazyfree-lazy-expire", "yes"),
    ("lazyfree-lazy-server-del", "yes"),
    ("lazyfree-lazy-user-del", "yes"),
    ("lazyfree-lazy-user-flush", "yes"),
    ("list-compress-depth", "0"),
    ("maxmemory", "0"),
    ("maxmemory-clients", "0"),
    ("min-replicas-to-write", "0"),
    ("min-slaves-to-write", "0"),
    ("oom-score-adj", "no"),
    ("pidfile", ""),
    ("proto-max-bulk-len", "536870912"),
    ("rdbchecksum", "yes"),
    ("rdbcompression", "no"),
    ("repl-backlog-ttl", "0"),
    ("repl-disable-tcp-nodelay", "no"),
    ("repl-diskless-sync", "yes"),
    ("repl-rdb-channel", "no"),
    ("replica-ignore-maxmemory", "yes"),
    ("replica-lazy-flush", "yes"),
    ("replica-read-only", "yes"),
    ("sanitize-dump-payload", "yes"),
    ("save", ""),
    ("set-proc-title", "no"),
    ("shutdown-timeout", "0"),
    ("slave-ignore-maxmemory", "yes"),
    ("slave-lazy-flush", "yes"),
    ("slave-read-only", "yes"),
    ("supervised", "no"),
    ("syslog-enabled", "no"),
    ("tcp-backlog", "511"),
    ("tls-cluster", "no"),
    ("unixsocketgroup", ""),
];

/// Those that the real servers do not let CONFIG SET change either.
const IMMUTABLE: [&str; 14] = [
    "cluster-enabled",
    "daemonize",
    "dbfilename",
    "disable-thp",
    "enable-module-command",
    "enable-protected-configs",
    "io-threads-do-reads",
    "pidfile",
    "rdbchecksum",
    "set-proc-title",
    "supervised",
    "syslog-enabled",
    "tcp-backlog",
    "unixsocketgroup",
];

/// The entry of [`FIXED`] with this name, in either case.
pub(super) fn fixed(name: &str) -> Option<(&'static str, &'static str)> {
    FIXED.iter().copied().find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// CONFIG SET of an entry of [`FIXED`]: its own value changes nothing, another one is refused.
pub(super) fn set_fixed((name, fixed): (&str, &str), value: &[u8]) -> Result<(), String> {
    if !is_immutable(name) && is_same(fixed, value) {
        return Ok(());
    }
    Err(if is_immutable(name) {
        IMMUTABLE_TEXT.into()
    } else {
        format!("remora has no other value than '{fixed}'")
    })
}

/// May CONFIG SET not even name it?
pub(super) fn is_immutable(name: &str) -> bool {
    IMMUTABLE.contains(&name)
}

/// Is it this value, maybe in another spelling?
fn is_same(fixed: &str, value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let bytes = value::memory(fixed);
    value.eq_ignore_ascii_case(fixed) || (bytes.is_some() && value::memory(value) == bytes)
}

/// Names that redis 6.0, 7.0, 8.0 and valkey 8.1, 9.1 know (CONFIG GET *, and directives only the file has).
const IGNORED: &str = "
    active-defrag-cycle-max active-defrag-cycle-min active-defrag-cycle-us active-defrag-ignore-bytes
    active-defrag-max-scan-fields active-defrag-threshold-lower active-defrag-threshold-upper
    active-expire-effort activerehashing always-show-logo aof-disable-auto-gc aof-load-truncated
    aof-rewrite-cpulist aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble
    aof_rewrite_cpulist appenddirname appendfilename appendfsync auto-aof-rewrite-min-size
    auto-aof-rewrite-percentage availability-zone bgsave-cpulist bgsave_cpulist bio-cpulist bio_cpulist
    cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down cluster-allow-replica-migration
    cluster-announce-bus-port cluster-announce-client-ipv4 cluster-announce-client-ipv6
    cluster-announce-client-port cluster-announce-client-tls-port cluster-announce-hostname
    cluster-announce-human-nodename cluster-announce-ip cluster-announce-port cluster-announce-tls-port
    cluster-blacklist-ttl cluster-compatibility-sample-ratio cluster-config-file
    cluster-config-save-behavior cluster-databases cluster-link-sendbuf-limit
    cluster-manual-failover-timeout cluster-migration-barrier cluster-node-timeout cluster-port
    cluster-preferred-endpoint-type cluster-replica-no-failover cluster-replica-validity-factor
    cluster-require-full-coverage cluster-slave-no-failover cluster-slave-validity-factor
    cluster-slot-migration-log-max-len cluster-slot-stats-enabled crash-log-enabled
    crash-memcheck-enabled extended-redis-compatibility gopher-enabled hash-seed hide-user-data-from-log
    ignore-warnings key-load-delay loadmodule loadmodule-noreply
    locale-collate log-timestamp-format lua-replicate-commands max-new-connections-per-cycle
    max-new-tls-connections-per-cycle maxmemory-eviction-tenacity maxmemory-samples min-replicas-max-lag
    min-slaves-max-lag mptcp no-appendfsync-on-rewrite oom-score-adj-values prefetch-batch-max-size
    proc-title-template propagation-error-behavior rdb-del-sync-files rdb-key-save-delay
    rdb-save-incremental-fsync rdb-version-check rdma-bind rdma-completion-vector rdma-port rdma-rx-size
    repl-diskless-sync-max-replicas repl-diskless-sync-period repl-mptcp replica-full-sync-buffer-limit
    replica-ignore-disk-write-errors server-cpulist server_cpulist shutdown-on-sigint shutdown-on-sigterm
    slot-migration-max-failover-repl-bytes socket-mark-id stop-writes-on-bgsave-error syslog-facility
    syslog-ident tls-auth-clients-user tls-ciphers tls-ciphersuites tls-dh-params-file
    tls-prefer-server-ciphers tls-session-cache-size tls-session-cache-timeout tls-session-caching
    watchdog-period
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    #[test]
    fn a_foreign_directive_is_no_setting_of_ours() {
        let fixed = FIXED.iter().map(|(name, _)| *name);
        for name in IGNORED.split_ascii_whitespace().chain(fixed) {
            assert!(Setting::find(name).is_none(), "{name} is a setting");
        }
    }

    #[test]
    fn what_would_weaken_security_is_refused() {
        assert!(matches!(judge("cluster-enabled", &[b"yes"]), Foreign::Refused(_)));
        assert_eq!(judge("cluster-enabled", &[b"no"]), Foreign::AsItIs);
        assert_eq!(judge("nosuch", &[]), Foreign::Unknown);
    }

    #[test]
    fn what_is_so_anyway_is_taken_in_each_spelling() {
        let check = |name: &str, value: &[u8], expected: Result<(), &str>| {
            let entry = fixed(name).expect("a fixed name");
            assert_eq!(set_fixed(entry, value), expected.map_err(str::to_owned), "{name}");
        };
        check("save", b"", Ok(()));
        check("SAVE", b"3600 1", Err("remora has no other value than ''"));
        check("appendonly", b"NO", Ok(()));
        check("proto-max-bulk-len", b"512mb", Ok(()));
        check("proto-max-bulk-len", b"1mb", Err("remora has no other value than '536870912'"));
        check("daemonize", b"no", Err(IMMUTABLE_TEXT));
        assert_eq!(judge("save", &[b""]), Foreign::AsItIs);
        assert_eq!(judge("save", &[b"3600", b"1"]), Foreign::Ignored);
        assert_eq!(judge("proto-max-bulk-len", &[b"512mb"]), Foreign::AsItIs);
        assert_eq!(judge("proto-max-bulk-len", &[b"1mb"]), Foreign::Ignored);
        assert!(IMMUTABLE.iter().all(|name| fixed(name).is_some()));
    }

    #[test]
    fn no_name_is_known_twice() {
        let mut seen = std::collections::HashSet::new();
        let fixed = FIXED.iter().map(|(name, _)| *name);
        IGNORED.split_ascii_whitespace().chain(fixed).for_each(|name| assert!(seen.insert(name), "{name} twice"));
    }
}
