//! Directives of real redis.conf and valkey.conf files that are not settings of remora, so that such a file can
//! be given unchanged: most are passed over with a warning, those whose loss would weaken security are refused.

/// What to do with a directive that is no setting of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Foreign {
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
        _ if FIXED.iter().any(|(known, _)| *known == name) => Foreign::Ignored,
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

/// What CONFIG GET answers for names of real servers that tools ask for and that have one value here.
pub(super) static FIXED: &[(&str, &str)] = &[
    ("appendonly", "no"),
    ("cluster-enabled", "no"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("proto-max-bulk-len", "536870912"),
    ("replica-read-only", "yes"),
    ("save", ""),
    ("slave-read-only", "yes"),
];

/// Names that redis 6.0, 7.0, 8.0 and valkey 8.1, 9.1 know (CONFIG GET *, and directives only the file has).
const IGNORED: &str = "
    active-defrag-cycle-max active-defrag-cycle-min
    active-defrag-cycle-us active-defrag-ignore-bytes active-defrag-max-scan-fields
    active-defrag-threshold-lower active-defrag-threshold-upper active-expire-effort activedefrag
    activerehashing always-show-logo aof-disable-auto-gc aof-load-truncated aof-rewrite-cpulist
    aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble aof_rewrite_cpulist
    appenddirname appendfilename appendfsync auto-aof-rewrite-min-size auto-aof-rewrite-percentage
    availability-zone bgsave-cpulist bgsave_cpulist bind-source-addr bio-cpulist bio_cpulist
    client-query-buffer-limit cluster-allow-pubsubshard-when-down
    cluster-allow-reads-when-down cluster-allow-replica-migration cluster-announce-bus-port
    cluster-announce-client-ipv4 cluster-announce-client-ipv6 cluster-announce-client-port
    cluster-announce-client-tls-port cluster-announce-hostname cluster-announce-human-nodename
    cluster-announce-ip cluster-announce-port cluster-announce-tls-port cluster-blacklist-ttl
    cluster-compatibility-sample-ratio cluster-config-file cluster-config-save-behavior cluster-databases
    cluster-link-sendbuf-limit cluster-manual-failover-timeout cluster-migration-barrier
    cluster-node-timeout cluster-port cluster-preferred-endpoint-type cluster-replica-no-failover
    cluster-replica-validity-factor cluster-require-full-coverage cluster-slave-no-failover
    cluster-slave-validity-factor cluster-slot-migration-log-max-len cluster-slot-stats-enabled
    crash-log-enabled crash-memcheck-enabled daemonize dbfilename disable-thp
    dual-channel-replication-enabled dynamic-hz enable-module-command enable-protected-configs
    extended-redis-compatibility gopher-enabled hash-seed hide-user-data-from-log hz ignore-warnings
    import-mode io-threads-do-reads jemalloc-bg-thread key-load-delay
    lazyfree-lazy-eviction lazyfree-lazy-expire
    lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush lfu-decay-time lfu-log-factor
    list-compress-depth loadmodule loadmodule-noreply locale-collate log-timestamp-format
    lua-replicate-commands max-new-connections-per-cycle max-new-tls-connections-per-cycle
    maxmemory-clients maxmemory-eviction-tenacity maxmemory-samples min-replicas-max-lag
    min-replicas-to-write min-slaves-max-lag min-slaves-to-write mptcp no-appendfsync-on-rewrite
    oom-score-adj oom-score-adj-values pidfile prefetch-batch-max-size
    proc-title-template propagation-error-behavior rdb-del-sync-files rdb-key-save-delay
    rdb-save-incremental-fsync rdb-version-check rdbchecksum rdbcompression rdma-bind
    rdma-completion-vector rdma-port rdma-rx-size repl-backlog-ttl
    repl-disable-tcp-nodelay repl-diskless-sync repl-diskless-sync-max-replicas
    repl-diskless-sync-period repl-mptcp repl-rdb-channel replica-full-sync-buffer-limit
    replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush sanitize-dump-payload
    server-cpulist server_cpulist set-proc-title shutdown-on-sigint shutdown-on-sigterm shutdown-timeout
    slave-ignore-maxmemory slave-lazy-flush slot-migration-max-failover-repl-bytes socket-mark-id
    stop-writes-on-bgsave-error supervised syslog-enabled syslog-facility syslog-ident tcp-backlog
    tls-auth-clients-user tls-ciphers tls-ciphersuites tls-cluster tls-dh-params-file
    tls-prefer-server-ciphers tls-session-cache-size tls-session-cache-timeout tls-session-caching
    unixsocketgroup watchdog-period
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
        assert_eq!(judge("cluster-enabled", &[b"no"]), Foreign::Ignored);
        assert_eq!(judge("nosuch", &[]), Foreign::Unknown);
    }
}
