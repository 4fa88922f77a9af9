//! One row per setting: its name, how it is read and shown, what it is for. To add a setting: a field in
//! `Config` and a row here; flag, variable, file, `--help`, CONFIG GET and CONFIG SET follow from the row.

use super::value::{
    self, AckMode, BindAddress, Compat, DebugCommand, DisklessLoad, LogFormat, LogLevel, Percentile,
    PubsubDefault, Secret, SubReplicaDialect,
};
use super::{Config, EventClasses, Master, Sentinels, tls, uses};
use crate::limits::LAG_PROBE_INTERVAL_MS_MIN;

/// Reads the words of a value into the field of a config; the complaint is worded for people.
type Read = fn(&mut Config, &[&[u8]]) -> Result<(), String>;
/// Prints the field as the file would have it.
type Show = fn(&Config) -> Vec<u8>;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name in the file and as a flag; the variable is `REMORA_` and the name in upper case.
    pub name: &'static str,
    /// Other names that mean the same; CONFIG GET knows them too.
    pub aliases: &'static [&'static str],
    /// What it is for, a sentence or two.
    pub help: &'static str,
    /// What the value looks like, for `--help`.
    pub shape: &'static str,
    /// The value is several words in the file, and one text of such words elsewhere.
    pub words: bool,
    /// CONFIG SET may change it while the program runs.
    pub live: bool,
    /// The value is a password: kept out of logs, messages and `--help`; `REMORA_..._FILE` names a file with it.
    pub secret: bool,
    read: Read,
    show: Show,
}

impl Setting {
    pub(super) const fn new(
        name: &'static str,
        shape: &'static str,
        help: &'static str,
        read: Read,
        show: Show,
    ) -> Self {
        Self { name, aliases: &[], help, shape, words: false, live: false, secret: false, read, show }
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn words(mut self) -> Self {
        self.words = true;
        self
    }

    pub(super) const fn live(mut self) -> Self {
        self.live = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The setting of this name or alias, in either case.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.names().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Reads a value of one or more words into `config`.
    pub(super) fn read(&self, config: &mut Config, words: &[&[u8]]) -> Result<(), String> {
        if !self.words && words.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        (self.read)(config, words)
    }

    /// Reads a value that is one text, as flags, environment and CONFIG SET bring it.
    pub(crate) fn read_text(&self, config: &mut Config, text: &[u8]) -> Result<(), String> {
        if !self.words {
            return self.read(config, &[text]);
        }
        let words = value::split_words(text).ok_or("unbalanced quotes in configuration line")?;
        self.read(config, &words.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The value in `config` as CONFIG GET answers it.
    pub fn show(&self, config: &Config) -> Vec<u8> {
        (self.show)(config)
    }
}

/// All settings, in the order of `--help`.
pub static SETTINGS: &[Setting] =
    &joined::<{ GENERAL.len() + uses::ROWS.len() + tls::ROWS.len() }>(&[GENERAL, uses::ROWS, tls::ROWS]);

/// The rows of several files as one table.
const fn joined<const N: usize>(files: &[&[Setting]]) -> [Setting; N] {
    let mut all = [files[0][0]; N];
    let (mut file, mut row, mut at) = (0, 0, 0);
    while at < N {
        if row == files[file].len() {
            (file, row) = (file + 1, 0);
        } else {
            all[at] = files[file][row];
            (row, at) = (row + 1, at + 1);
        }
    }
    all
}

/// What has no file of its own.
const GENERAL: &[Setting] = &[
    Setting::new(
        "replicaof",
        "MASTER",
        "The master: \"host port\", host:port, redis://user:password@host:port, rediss:// for TLS, or unix:///path",
        |c, w| put(&mut c.replicaof, texts(w).and_then(|w| Master::parse(&w))),
        |c| c.replicaof.as_ref().map(ToString::to_string).unwrap_or_default().into(),
    )
    .aliases(&["slaveof"])
    .words(),
    Setting::new(
        "masteruser",
        "NAME",
        "ACL user towards the master; it needs +psync +replconf +ping, and +info for measuring the lag",
        |c, w| put(&mut c.masteruser, text(w).map(value::unless_empty)),
        |c| shown(c.masteruser.as_deref()),
    )
    .aliases(&["primaryuser"])
    .live(),
    Setting::new(
        "masterauth",
        "PASSWORD",
        "Password towards the master",
        |c, w| put(&mut c.masterauth, Ok(secret(w))),
        |c| revealed(c.masterauth.as_ref()),
    )
    .aliases(&["primaryauth"])
    .live()
    .secret(),
    Setting::new(
        "bind",
        "ADDRESSES",
        "Addresses to listen on: * is all of IPv4, -::* all of IPv6; with a leading -, it may be missing",
        |c, w| {
            put(
                &mut c.bind,
                texts(w).and_then(|w| w.iter().filter(|w| !w.is_empty()).map(|w| BindAddress::parse(w)).collect()),
            )
        },
        |c| c.bind.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").into(),
    )
    .words(),
    Setting::new(
        "port",
        "PORT",
        "TCP port for clients; 0 is none",
        |c, w| put(&mut c.port, number(w, 0, 65535)),
        |c| c.port.to_string().into(),
    ),
    Setting::new(
        "unixsocket",
        "PATH",
        "Unix socket for clients",
        |c, w| put(&mut c.unixsocket, text(w).map(value::unless_empty)),
        |c| shown(c.unixsocket.as_deref().and_then(std::path::Path::to_str)),
    ),
    Setting::new(
        "unixsocketperm",
        "MODE",
        "Permissions of the unix socket, octal; 0 leaves them to the umask",
        |c, w| put(&mut c.unixsocketperm, text(w).and_then(value::octal)),
        |c| format!("{:o}", c.unixsocketperm).into(),
    ),
    Setting::new(
        "requirepass",
        "PASSWORD",
        "What clients must AUTH with",
        |c, w| put(&mut c.requirepass, Ok(secret(w))),
        |c| revealed(c.requirepass.as_ref()),
    )
    .live()
    .secret(),
    Setting::new(
        "aclfile",
        "PATH",
        "File of ACL users, one `user` line each; ACL LOAD reads it again, ACL SAVE writes it",
        |c, w| put(&mut c.aclfile, text(w).map(value::unless_empty)),
        |c| shown(c.aclfile.as_deref().and_then(std::path::Path::to_str)),
    ),
    Setting::new(
        "acl-pubsub-default",
        "allchannels|resetchannels",
        "Channels that a new ACL user may use before its rules name some",
        |c, w| put(&mut c.acl_pubsub_default, text(w).and_then(PubsubDefault::parse)),
        |c| c.acl_pubsub_default.as_str().into(),
    )
    .live(),
    Setting::new(
        "acllog-max-len",
        "N",
        "Entries that ACL LOG keeps",
        |c, w| put(&mut c.acllog_max_len, number(w, 0, i64::MAX)),
        |c| c.acllog_max_len.to_string().into(),
    )
    .live(),
    Setting::new(
        "protected-mode",
        "yes|no",
        "Refuse clients of other machines while the default user needs no password",
        |c, w| put(&mut c.protected_mode, text(w).and_then(value::yes_no)),
        |c| yes_no(c.protected_mode),
    )
    .live(),
    Setting::new(
        "io-threads",
        "N",
        "Worker threads for clients; as many as cores if not set",
        |c, w| put(&mut c.io_threads, number(w, 1, 128)),
        |c| c.io_threads.to_string().into(),
    ),
    Setting::new(
        "databases",
        "N",
        "Number of databases; a snapshot may bring more",
        |c, w| put(&mut c.databases, number(w, 1, 1 << 20)),
        |c| c.databases.to_string().into(),
    ),
    Setting::new(
        "maxclients",
        "N",
        "Most clients at a time",
        |c, w| put(&mut c.maxclients, number(w, 1, u32::MAX.into())),
        |c| c.maxclients.to_string().into(),
    )
    .live(),
    Setting::new(
        "timeout",
        "SECONDS",
        "Closes clients that are idle for so long; 0 is never",
        |c, w| put(&mut c.timeout_s, number(w, 0, i32::MAX.into())),
        |c| c.timeout_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "tcp-keepalive",
        "SECONDS",
        "TCP keep-alive of new client connections; 0 is none",
        |c, w| put(&mut c.tcp_keepalive_s, number(w, 0, i32::MAX.into())),
        |c| c.tcp_keepalive_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "repl-timeout",
        "SECONDS",
        "Cuts the link after so much silence of the master",
        |c, w| put(&mut c.repl_timeout_s, number(w, 1, i32::MAX.into())),
        |c| c.repl_timeout_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "repl-ping-replica-period",
        "SECONDS",
        "Read and shown, without effect: pings of the master reach sub-replicas with its stream",
        |c, w| put(&mut c.repl_ping_replica_period_s, number(w, 1, i32::MAX.into())),
        |c| c.repl_ping_replica_period_s.to_string().into(),
    )
    .aliases(&["repl-ping-slave-period"])
    .live(),
    Setting::new(
        "repl-backlog-size",
        "BYTES",
        "Bytes of the stream that are kept for partial resyncs of sub-replicas",
        |c, w| put(&mut c.repl_backlog_size_bytes, bytes(w, 1)),
        |c| c.repl_backlog_size_bytes.to_string().into(),
    )
    .live(),
    Setting::new(
        "repl-diskless-sync-delay",
        "SECONDS",
        "How long a snapshot for sub-replicas waits for more of them",
        |c, w| put(&mut c.repl_diskless_sync_delay_s, number(w, 0, i32::MAX.into())),
        |c| c.repl_diskless_sync_delay_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "max-concurrent-syncs",
        "N",
        "Snapshots for sub-replicas made at the same time; more wait. Those that come within the delay share one",
        |c, w| put(&mut c.max_concurrent_syncs, number(w, 1, 1024)),
        |c| c.max_concurrent_syncs.to_string().into(),
    )
    .live(),
    Setting::new(
        "sub-replica-dialect",
        "auto|redis-6.0|redis-7.0|redis-8.0|valkey-8.1|valkey-9.1",
        "What sub-replicas can load; auto goes by what each says of itself, and takes a silent one for redis 6.0",
        |c, w| put(&mut c.sub_replica_dialect, text(w).and_then(SubReplicaDialect::parse)),
        |c| c.sub_replica_dialect.as_str().into(),
    )
    .live(),
    Setting::new(
        "repl-diskless-load",
        "swap|flush|auto",
        "A full sync with old data in place: swap loads beside them, so reads go on; flush drops them first; auto does \
         what memory allows",
        |c, w| put(&mut c.repl_diskless_load, text(w).and_then(diskless_load)),
        |c| c.repl_diskless_load.as_str().into(),
    )
    .live(),
    Setting::new(
        "memory-limit",
        "BYTES",
        "What repl-diskless-load auto reckons with; 0 is the limit of the container or the memory of the machine",
        |c, w| put(&mut c.memory_limit_bytes, bytes(w, 0)),
        |c| c.memory_limit_bytes.to_string().into(),
    )
    .live(),
    Setting::new(
        "compat",
        "auto|redis|valkey",
        "As whose server clients are answered where Redis and Valkey differ (replies, errors, HELLO, INFO); auto is what \
         the master is",
        |c, w| put(&mut c.compat, text(w).and_then(Compat::parse)),
        |c| c.compat.as_str().into(),
    )
    .live(),
    Setting::new(
        "replica-serve-stale-data",
        "yes|no",
        "Answer reads while the link to the master is down; with no, they and /ready are refused",
        |c, w| put(&mut c.replica_serve_stale_data, text(w).and_then(value::yes_no)),
        |c| yes_no(c.replica_serve_stale_data),
    )
    .aliases(&["slave-serve-stale-data"])
    .live(),
    Setting::new(
        "replica-max-lag-seconds",
        "SECONDS",
        "Answer no reads from data that may be older; /ready fails too. Keep it above the interval of the lag probe; 0 is \
         no limit",
        |c, w| put(&mut c.replica_max_lag_s, number(w, 0, i32::MAX.into())),
        |c| c.replica_max_lag_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "replica-max-lag-bytes",
        "BYTES",
        "Answer no reads while more of the master's stream is missing; /ready fails too; 0 is no limit",
        |c, w| put(&mut c.replica_max_lag_bytes, bytes(w, 0)),
        |c| c.replica_max_lag_bytes.to_string().into(),
    )
    .live(),
    Setting::new(
        "repl-lag-probe-interval-ms",
        "MILLISECONDS",
        "How often the master is asked where it stands (INFO, over a second connection), from which the lag is measured; \
         0 is never, else 10 at least",
        |c, w| put(&mut c.repl_lag_probe_interval_ms, number(w, 0, 3_600_000).and_then(probe_interval)),
        |c| c.repl_lag_probe_interval_ms.to_string().into(),
    )
    .live(),
    Setting::new(
        "ack-mode",
        "exact|observer",
        "What acks tell the master: exact: the offset that is applied, as replicas do; observer: 0, so that remora never \
         counts for WAIT and is never picked by FAILOVER, at the price that the master shows it at offset 0",
        |c, w| put(&mut c.ack_mode, text(w).and_then(AckMode::parse)),
        |c| c.ack_mode.as_str().into(),
    )
    .live(),
    Setting::new(
        "replica-announce-ip",
        "ADDRESS",
        "Address or name that the master shows for us; Sentinel ignores what is no address",
        |c, w| put(&mut c.replica_announce_ip, text(w).map(value::unless_empty)),
        |c| shown(c.replica_announce_ip.as_deref()),
    )
    .aliases(&["slave-announce-ip"])
    .live(),
    Setting::new(
        "replica-announce-port",
        "PORT",
        "Port that the master shows for us; 0 is the value of port",
        |c, w| put(&mut c.replica_announce_port, number(w, 0, 65535)),
        |c| c.replica_announce_port.to_string().into(),
    )
    .aliases(&["slave-announce-port"])
    .live(),
    Setting::new(
        "replica-announced",
        "yes|no",
        "Whether Sentinel lists us among the replicas",
        |c, w| put(&mut c.replica_announced, text(w).and_then(value::yes_no)),
        |c| yes_no(c.replica_announced),
    )
    .live(),
    Setting::new(
        "sentinel",
        "NAME HOST:PORT...",
        "Asks these Sentinels for the master of this name and follows it; replicaof may then be missing",
        |c, w| put(&mut c.sentinel, texts(w).and_then(|w| Sentinels::parse(&w))),
        |c| c.sentinel.as_ref().map(ToString::to_string).unwrap_or_default().into(),
    )
    .words(),
    Setting::new(
        "sentinel-auth-pass",
        "PASSWORD",
        "Password towards the Sentinels",
        |c, w| put(&mut c.sentinel_auth_pass, Ok(secret(w))),
        |c| revealed(c.sentinel_auth_pass.as_ref()),
    )
    .secret(),
    Setting::new(
        "replica-priority",
        "N",
        "Priority that Sentinel reads: always 0, as remora is never promoted; another value in a file is passed over",
        |_, w| match number::<i64>(w, 0, i32::MAX.into())? {
            0 => Ok(()),
            _ => Err("remora is never promoted: only 0 can be told to Sentinel".into()),
        },
        |_| b"0".into(),
    )
    .aliases(&["slave-priority"])
    .live(),
    Setting::new(
        "client-output-buffer-limit",
        "LIMITS",
        "CLASS HARD SOFT SECONDS for the classes normal, replica and pubsub: cuts clients that do not read, or whose \
         replies are bigger at once; without a hard limit 1 GiB is one",
        |c, w| texts(w).and_then(|w| c.output_limits.change(&w)),
        |c| c.output_limits.to_string().into(),
    )
    .words()
    .live(),
    Setting::new(
        "hash-max-listpack-entries",
        "N",
        "Fields up to which a hash is compact; keep it as the master has it",
        |c, w| put(&mut c.encodings.hash_entries, number(w, 0, i64::MAX)),
        |c| c.encodings.hash_entries.to_string().into(),
    )
    .aliases(&["hash-max-ziplist-entries"])
    .live(),
    Setting::new(
        "hash-max-listpack-value",
        "BYTES",
        "Longest field or value of a compact hash",
        |c, w| put(&mut c.encodings.hash_value_bytes, bytes(w, 0)),
        |c| c.encodings.hash_value_bytes.to_string().into(),
    )
    .aliases(&["hash-max-ziplist-value"])
    .live(),
    Setting::new(
        "set-max-intset-entries",
        "N",
        "Members up to which a set of integers is compact",
        |c, w| put(&mut c.encodings.set_intset_entries, number(w, 0, i64::MAX)),
        |c| c.encodings.set_intset_entries.to_string().into(),
    )
    .live(),
    Setting::new(
        "set-max-listpack-entries",
        "N",
        "Members up to which a set is compact",
        |c, w| put(&mut c.encodings.set_entries, number(w, 0, i64::MAX)),
        |c| c.encodings.set_entries.to_string().into(),
    )
    .live(),
    Setting::new(
        "set-max-listpack-value",
        "BYTES",
        "Longest member of a compact set",
        |c, w| put(&mut c.encodings.set_value_bytes, bytes(w, 0)),
        |c| c.encodings.set_value_bytes.to_string().into(),
    )
    .live(),
    Setting::new(
        "zset-max-listpack-entries",
        "N",
        "Members up to which a sorted set is compact",
        |c, w| put(&mut c.encodings.zset_entries, number(w, 0, i64::MAX)),
        |c| c.encodings.zset_entries.to_string().into(),
    )
    .aliases(&["zset-max-ziplist-entries"])
    .live(),
    Setting::new(
        "zset-max-listpack-value",
        "BYTES",
        "Longest member of a compact sorted set",
        |c, w| put(&mut c.encodings.zset_value_bytes, bytes(w, 0)),
        |c| c.encodings.zset_value_bytes.to_string().into(),
    )
    .aliases(&["zset-max-ziplist-value"])
    .live(),
    Setting::new(
        "list-max-listpack-size",
        "N",
        "Elements of one node of a list; -1 to -5 are 4, 8, 16, 32, 64 KiB",
        |c, w| put(&mut c.encodings.list_size, number(w, i32::MIN.into(), i32::MAX.into())),
        |c| c.encodings.list_size.to_string().into(),
    )
    .aliases(&["list-max-ziplist-size"])
    .live(),
    Setting::new(
        "stream-node-max-bytes",
        "BYTES",
        "Bytes of one node of a stream; 0 is no limit",
        |c, w| put(&mut c.encodings.stream_node_bytes, bytes(w, 0)),
        |c| c.encodings.stream_node_bytes.to_string().into(),
    )
    .live(),
    Setting::new(
        "stream-node-max-entries",
        "N",
        "Entries of one node of a stream; 0 is no limit",
        |c, w| put(&mut c.encodings.stream_node_entries, number(w, 0, i64::MAX)),
        |c| c.encodings.stream_node_entries.to_string().into(),
    )
    .live(),
    Setting::new(
        "hll-sparse-max-bytes",
        "BYTES",
        "Bytes up to which a hyperloglog stays sparse; keep it as the master has it",
        |c, w| put(&mut c.encodings.hll_sparse_bytes, bytes(w, 0)),
        |c| c.encodings.hll_sparse_bytes.to_string().into(),
    )
    .live(),
    Setting::new(
        "notify-keyspace-events",
        "CLASSES",
        "Which changes of keys are told on channels, as letters: K and E are the forms, A is all classes",
        |c, w| put(&mut c.notify_keyspace_events, text(w).and_then(EventClasses::parse)),
        |c| c.notify_keyspace_events.to_string().into(),
    )
    .live(),
    Setting::new(
        "tracking-table-max-keys",
        "N",
        "Most keys that are remembered for clients that track what they read; 0 is no limit",
        |c, w| put(&mut c.tracking_table_max_keys, number(w, 0, i64::MAX)),
        |c| c.tracking_table_max_keys.to_string().into(),
    )
    .live(),
    Setting::new(
        "slowlog-log-slower-than",
        "MICROSECONDS",
        "Commands slower than this stand in SLOWLOG; 0 is all of them, -1 none",
        |c, w| put(&mut c.slowlog_log_slower_than_us, number(w, -1, i64::MAX)),
        |c| c.slowlog_log_slower_than_us.to_string().into(),
    )
    .aliases(&["commandlog-execution-slower-than"])
    .live(),
    Setting::new(
        "slowlog-max-len",
        "N",
        "Entries that SLOWLOG keeps",
        |c, w| put(&mut c.slowlog_max_len, number(w, 0, i64::MAX)),
        |c| c.slowlog_max_len.to_string().into(),
    )
    .aliases(&["commandlog-slow-execution-max-len"])
    .live(),
    Setting::new(
        "commandlog-request-larger-than",
        "BYTES",
        "Requests of so many bytes stand in COMMANDLOG; 0 is all of them, -1 none",
        |c, w| put(&mut c.commandlog_request_larger_than, number(w, -1, i64::MAX)),
        |c| c.commandlog_request_larger_than.to_string().into(),
    )
    .live(),
    Setting::new(
        "commandlog-large-request-max-len",
        "N",
        "Large requests that COMMANDLOG keeps",
        |c, w| put(&mut c.commandlog_large_request_max_len, number(w, 0, i64::MAX)),
        |c| c.commandlog_large_request_max_len.to_string().into(),
    )
    .live(),
    Setting::new(
        "commandlog-reply-larger-than",
        "BYTES",
        "Replies of so many bytes stand in COMMANDLOG; 0 is all of them, -1 none",
        |c, w| put(&mut c.commandlog_reply_larger_than, number(w, -1, i64::MAX)),
        |c| c.commandlog_reply_larger_than.to_string().into(),
    )
    .live(),
    Setting::new(
        "commandlog-large-reply-max-len",
        "N",
        "Large replies that COMMANDLOG keeps",
        |c, w| put(&mut c.commandlog_large_reply_max_len, number(w, 0, i64::MAX)),
        |c| c.commandlog_large_reply_max_len.to_string().into(),
    )
    .live(),
    Setting::new(
        "latency-monitor-threshold",
        "MILLISECONDS",
        "What takes so long is a spike that LATENCY shows; 0 turns it off",
        |c, w| put(&mut c.latency_monitor_threshold_ms, number(w, 0, i64::MAX)),
        |c| c.latency_monitor_threshold_ms.to_string().into(),
    )
    .live(),
    Setting::new(
        "latency-tracking",
        "yes|no",
        "Whether LATENCY HISTOGRAM and INFO latencystats count how long commands take",
        |c, w| put(&mut c.latency_tracking, text(w).and_then(value::yes_no)),
        |c| yes_no(c.latency_tracking),
    )
    .live(),
    Setting::new(
        "latency-tracking-info-percentiles",
        "PERCENTILES",
        "Percentiles that INFO latencystats shows",
        |c, w| put(&mut c.latency_tracking_info_percentiles, texts(w).and_then(|w| Percentile::parse_all(&w))),
        |c| {
            c.latency_tracking_info_percentiles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").into()
        },
    )
    .words()
    .live(),
    Setting::new(
        "busy-reply-threshold",
        "MILLISECONDS",
        "A script that runs longer can be killed, and further scripts answer BUSY; 0 is never",
        |c, w| put(&mut c.busy_reply_threshold_ms, number(w, 0, i64::MAX)),
        |c| c.busy_reply_threshold_ms.to_string().into(),
    )
    .aliases(&["lua-time-limit"])
    .live(),
    Setting::new(
        "loglevel",
        "LEVEL",
        "debug, verbose, notice, warning or nothing",
        |c, w| put(&mut c.loglevel, text(w).and_then(LogLevel::parse)),
        |c| c.loglevel.as_str().into(),
    )
    .live(),
    Setting::new(
        "logfile",
        "PATH",
        "File to log to; standard output if not set",
        |c, w| put(&mut c.logfile, text(w).map(value::unless_empty)),
        |c| shown(c.logfile.as_deref().and_then(std::path::Path::to_str)),
    ),
    Setting::new(
        "log-format",
        "text|json",
        "The form of log lines",
        |c, w| put(&mut c.log_format, text(w).and_then(LogFormat::parse)),
        |c| c.log_format.as_str().into(),
    ),
    Setting::new(
        "dir",
        "PATH",
        "Working directory. Our own snapshot is kept here, remora.rdb: after a restart the rest of the stream is enough. \
         Without it none is kept",
        |c, w| put(&mut c.dir, text(w).map(value::unless_empty)),
        |c| shown(c.dir.as_deref().and_then(std::path::Path::to_str)),
    ),
    Setting::new(
        "save-interval",
        "SECONDS",
        "Saves our own snapshot so often; 0 is only at the end (SIGTERM, SHUTDOWN) and at BGSAVE",
        |c, w| put(&mut c.save_interval_s, number(w, 0, i32::MAX.into())),
        |c| c.save_interval_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "save-max-bytes-per-second",
        "BYTES",
        "Most that a save writes to the disk, except at the end; 0 is no bound",
        |c, w| put(&mut c.save_bytes_per_second_max, bytes(w, 0)),
        |c| c.save_bytes_per_second_max.to_string().into(),
    )
    .live(),
    Setting::new(
        "save-timeout",
        "SECONDS",
        "How long the save at the end may take; keep it below the grace time of whoever stops remora",
        |c, w| put(&mut c.save_timeout_s, number(w, 0, i32::MAX.into())),
        |c| c.save_timeout_s.to_string().into(),
    )
    .live(),
    Setting::new(
        "metrics-addr",
        "ADDRESS",
        "Where /metrics, /live, /ready and /startup listen; port 0 picks a free one and logs it, none is off",
        |c, w| put(&mut c.metrics_addr, text(w).and_then(metrics_addr)),
        |c| c.metrics_addr.map_or_else(|| "none".to_owned(), |at| at.to_string()).into(),
    ),
    Setting::new(
        "enable-debug-command",
        "no|local|yes",
        "Who may use DEBUG (DIGEST, OBJECT, SLEEP, PANIC ...)",
        |c, w| put(&mut c.enable_debug_command, text(w).and_then(DebugCommand::parse)),
        |c| c.enable_debug_command.as_str().into(),
    ),
];

pub(super) fn put<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

pub(super) fn text<'a>(words: &[&'a [u8]]) -> Result<&'a str, String> {
    let word = words.first().copied().unwrap_or_default();
    std::str::from_utf8(word).map_err(|_| "argument is not UTF-8".into())
}

fn texts<'a>(words: &[&'a [u8]]) -> Result<Vec<&'a str>, String> {
    words.iter().map(|word| text(&[word])).collect()
}

pub(super) fn number<T: TryFrom<i64>>(words: &[&[u8]], min: i64, max: i64) -> Result<T, String> {
    value::number(text(words)?, min, max)
}

fn bytes<T: TryFrom<u64>>(words: &[&[u8]], min: u64) -> Result<T, String> {
    value::bytes(text(words)?, min)
}

fn probe_interval(ms: u64) -> Result<u64, String> {
    if ms == 0 || ms >= LAG_PROBE_INTERVAL_MS_MIN {
        return Ok(ms);
    }
    Err(format!("argument must be 0 or at least {LAG_PROBE_INTERVAL_MS_MIN}"))
}

pub(super) fn secret(words: &[&[u8]]) -> Option<Secret> {
    words.first().filter(|word| !word.is_empty()).map(|word| Secret::new(*word))
}

fn metrics_addr(text: &str) -> Result<Option<std::net::SocketAddr>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let full = if let Some(port) = text.strip_prefix(':') { format!("0.0.0.0:{port}") } else { text.to_owned() };
    full.parse().map(Some).map_err(|_| "write an address such as 127.0.0.1:9121, or none".into())
}

/// The words of real servers mean what comes nearest: they never mix old and new data either.
fn diskless_load(text: &str) -> Result<DisklessLoad, String> {
    match text.to_ascii_lowercase().as_str() {
        "disabled" | "on-empty-db" | "swapdb" => Ok(DisklessLoad::Swap),
        "flush-before-load" => Ok(DisklessLoad::Flush),
        _ => DisklessLoad::parse(text),
    }
}

pub(super) fn shown(value: Option<&str>) -> Vec<u8> {
    value.unwrap_or_default().into()
}

pub(super) fn revealed(value: Option<&Secret>) -> Vec<u8> {
    value.map(Secret::reveal).unwrap_or_default().to_vec()
}

pub(super) fn yes_no(value: bool) -> Vec<u8> {
    if value { b"yes".to_vec() } else { b"no".to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        for name in SETTINGS.iter().flat_map(Setting::names) {
            assert!(seen.insert(name), "{name} twice");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        let defaults = Config { replicaof: Some(Master::tcp("h", 1)), ..Config::default() };
        for setting in SETTINGS {
            let shown = setting.show(&defaults);
            let mut config = defaults.clone();
            setting.read_text(&mut config, &shown).unwrap_or_else(|why| panic!("{}: {why}", setting.name));
            assert_eq!(config, defaults, "{}", setting.name);
        }
    }

    #[test]
    fn malformed_values_are_refused_in_the_words_of_the_servers() {
        let check = |name: &str, value: &str, why: &str| {
            let setting = Setting::find(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(
                setting.read_text(&mut Config::default(), value.as_bytes()),
                Err(why.into()),
                "{name} {value}"
            );
        };
        check("maxclients", "abc", "argument couldn't be parsed into an integer");
        check("maxclients", "0", "argument must be between 1 and 4294967295 inclusive");
        check("repl-backlog-size", "x", "argument must be a memory value");
        check("slave-serve-stale-data", "maybe", "argument must be 'yes' or 'no'");
        check(
            "loglevel",
            "x",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        );
        check("client-output-buffer-limit", "x", "Wrong number of arguments in buffer limit configuration.");
        check("metrics-addr", "localhost", "write an address such as 127.0.0.1:9121, or none");
    }
}
