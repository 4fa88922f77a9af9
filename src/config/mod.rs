//! Every setting of the program: read from flags, environment and a redis.conf-style file, checked once, then
//! never doubted.
//!
//! Comes in: arguments and environment (`main` hands them over). Goes out: [`Startup`] with a checked
//! [`Config`], or a [`ConfigError`] that names the setting. `table` holds one row per setting, and flags, file,
//! environment, `--help`, CONFIG GET and CONFIG SET all read that row. It knows no data and no protocol.

mod events;
mod file;
mod flags;
mod foreign;
mod include;
mod live;
mod master;
mod rewrite;
mod sentinel;
mod table;
mod tls;
mod uses;
mod value;

pub use events::EventClasses;
pub use flags::{Action, Startup, from_process};
pub use live::{LiveConfig, RewriteRefused, SetRefused, Watch};
pub use master::{Address, Master};
pub use sentinel::Sentinels;
pub use table::{SETTINGS, Setting};
pub use tls::{AuthClients, TlsProtocols, TlsSettings};
pub use uses::{MaxmemoryPolicy, UseSettings};
pub use value::{
    AckMode, BindAddress, Compat, DebugCommand, DisklessLoad, LogFormat, LogLevel, OutputLimit, OutputLimits,
    Percentile, PubsubDefault, Secret, SubReplicaDialect, UserChange, UserLine, split_words,
};

use crate::limits::{
    BUSY_REPLY_THRESHOLD_MS_DEFAULT, DATABASES_DEFAULT, LAG_PROBE_INTERVAL_MS_DEFAULT, MAXCLIENTS_DEFAULT,
    TRACKED_KEYS_DEFAULT,
};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::{fmt, io};

/// All settings, checked. Field names are the settings' names with their unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that the program was started from, for CONFIG REWRITE.
    pub config_file: Option<PathBuf>,
    /// The master to follow at start; REPLICAOF changes it.
    pub replicaof: Option<Master>,
    /// ACL user towards the master; `default` if not set.
    pub masteruser: Option<String>,
    /// Password towards the master.
    pub masterauth: Option<Secret>,
    /// Addresses to listen on.
    pub bind: Vec<BindAddress>,
    /// TCP port for clients; 0 is none.
    pub port: u16,
    /// Unix socket for clients.
    pub unixsocket: Option<PathBuf>,
    /// Permissions of the unix socket; 0 leaves them to the umask.
    pub unixsocketperm: u32,
    /// What clients must AUTH with: the default user's password.
    pub requirepass: Option<Secret>,
    /// The file of users.
    pub aclfile: Option<PathBuf>,
    /// `user` lines of the file.
    pub users: Vec<UserLine>,
    /// Channels of a new user.
    pub acl_pubsub_default: PubsubDefault,
    /// Entries that ACL LOG keeps.
    pub acllog_max_len: usize,
    /// Whether clients of other machines are refused while nobody needs a password.
    pub protected_mode: bool,
    /// Worker threads.
    pub io_threads: usize,
    /// Databases; a snapshot may bring more.
    pub databases: usize,
    /// Most clients at a time.
    pub maxclients: usize,
    /// Idle clients are closed after this many seconds; 0 is never.
    pub timeout_s: u64,
    /// TCP keep-alive of clients, seconds; 0 is none.
    pub tcp_keepalive_s: u64,
    /// Silence of the master after which the link is cut, seconds.
    pub repl_timeout_s: u64,
    /// Pings to sub-replicas, seconds.
    pub repl_ping_replica_period_s: u64,
    /// Bytes of the stream that are kept for partial resyncs.
    pub repl_backlog_size_bytes: u64,
    /// How long a snapshot waits for more sub-replicas, seconds.
    pub repl_diskless_sync_delay_s: u64,
    /// Snapshots for sub-replicas that are made at the same time.
    pub max_concurrent_syncs: usize,
    /// Whose snapshots sub-replicas are given.
    pub sub_replica_dialect: SubReplicaDialect,
    /// Where a snapshot is loaded while there are old data.
    pub repl_diskless_load: DisklessLoad,
    /// What the process may hold, bytes; 0 is what the cgroup allows, or the machine has.
    pub memory_limit_bytes: u64,
    /// Whether reads are answered while the link is down.
    pub replica_serve_stale_data: bool,
    /// As whose server clients are answered.
    pub compat: Compat,
    /// How old the data may be that are shown, seconds; 0 is no limit.
    pub replica_max_lag_s: u64,
    /// How much of the stream may be missing in what is shown, bytes; 0 is no limit.
    pub replica_max_lag_bytes: u64,
    /// How often the master is asked where it stands, milliseconds; 0 is never.
    pub repl_lag_probe_interval_ms: u64,
    /// What the master is told in acks.
    pub ack_mode: AckMode,
    /// Address or name that the master shows for us.
    pub replica_announce_ip: Option<String>,
    /// Port that the master shows for us; 0 is `port`.
    pub replica_announce_port: u16,
    /// Whether Sentinel lists us.
    pub replica_announced: bool,
    /// The Sentinels that say who the master is.
    pub sentinel: Option<Sentinels>,
    /// Password towards the Sentinels.
    pub sentinel_auth_pass: Option<Secret>,
    /// Limits of what waits to be sent to clients.
    pub output_limits: OutputLimits,
    /// Sizes of compact encodings.
    pub encodings: Encodings,
    /// What is remembered of the use of keys.
    pub uses: UseSettings,
    /// Which changes of keys are told to subscribers.
    pub notify_keyspace_events: EventClasses,
    /// Most keys that are remembered for clients that track.
    pub tracking_table_max_keys: usize,
    /// Commands slower than this are in SLOWLOG, microseconds; 0 is all, negative none.
    pub slowlog_log_slower_than_us: i64,
    /// Entries that SLOWLOG keeps.
    pub slowlog_max_len: usize,
    /// Requests of at least so many bytes are in COMMANDLOG; 0 is all, negative none.
    pub commandlog_request_larger_than: i64,
    /// Large requests that COMMANDLOG keeps.
    pub commandlog_large_request_max_len: usize,
    /// Replies of at least so many bytes are in COMMANDLOG; 0 is all, negative none.
    pub commandlog_reply_larger_than: i64,
    /// Large replies that COMMANDLOG keeps.
    pub commandlog_large_reply_max_len: usize,
    /// What takes so long is a spike for LATENCY, milliseconds; 0 is nothing.
    pub latency_monitor_threshold_ms: u64,
    /// Whether the times of commands are kept for LATENCY HISTOGRAM and INFO latencystats.
    pub latency_tracking: bool,
    /// Which percentiles INFO latencystats shows.
    pub latency_tracking_info_percentiles: Vec<Percentile>,
    /// A script that runs longer is busy, milliseconds; 0 is never.
    pub busy_reply_threshold_ms: u64,
    /// What is logged.
    pub loglevel: LogLevel,
    /// Where it is logged; standard output if not set.
    pub logfile: Option<PathBuf>,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Working directory, and where our own snapshot is kept; without it none is.
    pub dir: Option<PathBuf>,
    /// Our own snapshot is saved so often, seconds; 0 is at the end only.
    pub save_interval_s: u64,
    /// Most bytes a second that a save writes while the program runs; 0 is no bound.
    pub save_bytes_per_second_max: u64,
    /// How long the save at the end may take, seconds.
    pub save_timeout_s: u64,
    /// Where `/metrics` and the probes listen; `None` turns them off.
    pub metrics_addr: Option<SocketAddr>,
    /// Who may use DEBUG.
    pub enable_debug_command: DebugCommand,
    /// TLS to the master and to clients.
    pub tls: TlsSettings,
}

impl Config {
    /// Most bytes that may wait to be sent to a sub-replica: the hard limit, which as with the real servers counts
    /// for no less than `repl-backlog-size`. `u64::MAX` where there is none.
    pub fn sub_replica_hard_limit_bytes(&self) -> u64 {
        match self.output_limits.replica.hard_bytes {
            0 => u64::MAX,
            hard => hard.max(self.repl_backlog_size_bytes),
        }
    }
}

/// Sizes up to which compact encodings are kept: the settings `*-max-listpack-*` and their kin, in the units of the
/// settings. Defaults are the servers' (redis 6.0 to valkey 9.1 agree).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings {
    /// `hash-max-listpack-entries`: fields.
    pub hash_entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or value.
    pub hash_value_bytes: usize,
    /// `set-max-intset-entries`: members.
    pub set_intset_entries: usize,
    /// `set-max-listpack-entries`: members.
    pub set_entries: usize,
    /// `set-max-listpack-value`: bytes of a member.
    pub set_value_bytes: usize,
    /// `zset-max-listpack-entries`: members.
    pub zset_entries: usize,
    /// `zset-max-listpack-value`: bytes of a member.
    pub zset_value_bytes: usize,
    /// `list-max-listpack-size`: positive: elements of a node; -1 to -5: 4, 8, 16, 32, 64 KiB of a node.
    pub list_size: i64,
    /// `stream-node-max-bytes`; 0 is no limit.
    pub stream_node_bytes: usize,
    /// `stream-node-max-entries`; 0 is no limit.
    pub stream_node_entries: usize,
    /// `hll-sparse-max-bytes`, header included.
    pub hll_sparse_bytes: usize,
}

impl Config {
    /// What the master is told to show for us, if anything. Who follows Sentinels is not to be listed by them: they
    /// pass over a replica that announces a name.
    pub fn announced_ip(&self) -> Option<String> {
        let named = || self.sentinel.as_ref().map(|_| crate::process::host_name());
        self.replica_announce_ip.clone().or_else(named)
    }

    /// Do we ourselves listen there, as far as the address alone can tell?
    pub fn is_own(&self, address: &Address) -> bool {
        let Address::Tcp { host, port } = address else {
            return matches!(address, Address::Unix(path) if self.unixsocket.as_ref() == Some(path));
        };
        if ![self.port, self.tls.port].contains(port) {
            return false;
        }
        if host.eq_ignore_ascii_case("localhost") {
            return self.bind.iter().any(|bind| bind.ip.is_loopback() || bind.ip.is_unspecified());
        }
        let Ok(ip) = host.parse::<IpAddr>() else { return false };
        // To connect to 0.0.0.0 is to connect to the loopback; to listen there is to listen on all.
        let is_here = ip.is_loopback() || ip.is_unspecified();
        self.bind.iter().filter(|bind| bind.ip.is_ipv4() == ip.is_ipv4()).any(|bind| {
            bind.ip == ip
                || (bind.ip.is_unspecified() && is_here)
                || (ip.is_unspecified() && bind.ip.is_loopback())
        })
    }

    /// Does the link to this master speak TLS?
    pub fn tls_to(&self, master: &Master) -> bool {
        master.tls || (self.tls.replication && matches!(master.address, Address::Tcp { .. }))
    }

    /// The port that clients and sub-replicas reach us at: of two, the one that the link to our own master goes with
    /// (as redis 7.0).
    pub fn announced_port(&self) -> u16 {
        match (self.replica_announce_port, self.port, self.tls.port) {
            (0, 0, tls) => tls,
            (0, _, tls) if tls != 0 && self.tls.replication => tls,
            (0, port, _) => port,
            (announced, ..) => announced,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            config_file: None,
            replicaof: None,
            masteruser: None,
            masterauth: None,
            bind: BindAddress::loopback(),
            port: 6379,
            unixsocket: None,
            unixsocketperm: 0,
            requirepass: None,
            aclfile: None,
            users: Vec::new(),
            acl_pubsub_default: PubsubDefault::ResetChannels,
            acllog_max_len: 128,
            protected_mode: true,
            io_threads: std::thread::available_parallelism().map_or(1, usize::from),
            databases: DATABASES_DEFAULT,
            maxclients: MAXCLIENTS_DEFAULT,
            timeout_s: 0,
            tcp_keepalive_s: 300,
            repl_timeout_s: 60,
            repl_ping_replica_period_s: 10,
            repl_backlog_size_bytes: 1 << 20,
            repl_diskless_sync_delay_s: 5,
            max_concurrent_syncs: 2,
            sub_replica_dialect: SubReplicaDialect::Auto,
            repl_diskless_load: DisklessLoad::Swap,
            memory_limit_bytes: 0,
            replica_serve_stale_data: true,
            compat: Compat::Auto,
            replica_max_lag_s: 0,
            replica_max_lag_bytes: 0,
            repl_lag_probe_interval_ms: LAG_PROBE_INTERVAL_MS_DEFAULT,
            ack_mode: AckMode::Exact,
            replica_announce_ip: None,
            replica_announce_port: 0,
            replica_announced: true,
            sentinel: None,
            sentinel_auth_pass: None,
            output_limits: OutputLimits::default(),
            encodings: Encodings::default(),
            uses: UseSettings::default(),
            notify_keyspace_events: EventClasses::default(),
            tracking_table_max_keys: TRACKED_KEYS_DEFAULT,
            slowlog_log_slower_than_us: 10_000,
            slowlog_max_len: 128,
            commandlog_request_larger_than: 1 << 20,
            commandlog_large_request_max_len: 128,
            commandlog_reply_larger_than: 1 << 20,
            commandlog_large_reply_max_len: 128,
            latency_monitor_threshold_ms: 0,
            latency_tracking: true,
            latency_tracking_info_percentiles: Percentile::defaults(),
            busy_reply_threshold_ms: BUSY_REPLY_THRESHOLD_MS_DEFAULT,
            loglevel: LogLevel::Notice,
            logfile: None,
            log_format: LogFormat::Text,
            dir: None,
            save_interval_s: 0,
            save_bytes_per_second_max: 64 << 20,
            save_timeout_s: 20,
            metrics_addr: Some(SocketAddr::from(([127, 0, 0, 1], 9121))),
            enable_debug_command: DebugCommand::No,
            tls: TlsSettings::default(),
        }
    }
}

impl Default for Encodings {
    fn default() -> Self {
        Self {
            hash_entries: 512,
            hash_value_bytes: 64,
            set_intset_entries: 512,
            set_entries: 128,
            set_value_bytes: 64,
            zset_entries: 128,
            zset_value_bytes: 64,
            list_size: -2,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            hll_sparse_bytes: 3000,
        }
    }
}

/// Where a value came from; later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A line of the configuration file.
    File { path: PathBuf, line: usize },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag,
}

/// Why the program cannot start with these settings. Names the setting, never a secret's value.
#[derive(Debug)]
pub enum ConfigError {
    /// A flag that does not exist or has no value; the text is ready to be printed.
    Usage(String),
    /// A setting that does not exist, or whose value is malformed.
    Setting { name: String, source: Source, why: String },
    /// Settings that do not go together, or what one names cannot be used.
    Unusable { name: &'static str, why: String },
    /// No master is given.
    NoMaster,
    /// The file cannot be read.
    File { path: PathBuf, error: io::Error },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Setting { name, source: Source::Flag, why } => write!(f, "--{name}: {why}"),
            Self::Setting { source: Source::Environment(variable), why, .. } => write!(f, "{variable}: {why}"),
            Self::Setting { name, source: Source::File { path, line }, why } => {
                write!(f, "{}:{line}: {name}: {why}", path.display())
            }
            Self::Unusable { name, why } => write!(f, "{name}: {why}"),
            Self::NoMaster => f.write_str(
                "replicaof: no master is given. Name one, such as --replicaof \"127.0.0.1 6379\", or look at \
                 `remora demo`",
            ),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_port_goes_with_the_link() {
        let check = |announced: u16, port: u16, tls_port: u16, tls_replication: bool, expected: u16| {
            let tls = TlsSettings { port: tls_port, replication: tls_replication, ..TlsSettings::default() };
            let config = Config { replica_announce_port: announced, port, tls, ..Config::default() };
            assert_eq!(config.announced_port(), expected, "{announced} {port} {tls_port} {tls_replication}");
        };
        check(0, 6379, 0, false, 6379);
        check(0, 6379, 6380, false, 6379);
        check(0, 6379, 6380, true, 6380);
        check(0, 6379, 0, true, 6379);
        check(0, 0, 6380, false, 6380);
        check(7, 6379, 6380, true, 7);
    }

    #[test]
    fn own_listeners_are_known_by_their_addresses() {
        let check = |bind: &str, master: &str, expected: bool| {
            let bind = bind.split(' ').map(|word| BindAddress::parse(word).expect("well formed")).collect();
            let tls = TlsSettings { port: 6380, ..TlsSettings::default() };
            let unixsocket = Some("/run/remora.sock".into());
            let config = Config { bind, tls, unixsocket, ..Config::default() };
            let master = Master::parse(&[master]).expect("well formed").expect("a master");
            assert_eq!(config.is_own(&master.address), expected, "{:?} {master}", config.bind);
        };
        check("127.0.0.1 -::1", "127.0.0.1:6379", true);
        check("127.0.0.1 -::1", "[::1]:6380", true);
        check("127.0.0.1 -::1", "localhost:6379", true);
        check("127.0.0.1 -::1", "0.0.0.0:6379", true);
        check("127.0.0.1 -::1", "127.0.0.1:6381", false);
        check("127.0.0.1 -::1", "127.0.0.2:6379", false);
        check("*", "127.0.0.2:6379", true);
        check("*", "10.0.0.5:6379", false);
        check("10.0.0.5", "10.0.0.5:6379", true);
        check("10.0.0.5", "127.0.0.1:6379", false);
        check("*", "db.example:6379", false);
        check("*", "/run/remora.sock", true);
        check("*", "/run/redis.sock", false);
    }

    #[test]
    fn tls_to_the_master_is_turned_on_by_its_url_or_by_the_setting() {
        let check = |replication: bool, master: &str, expected: bool| {
            let tls = TlsSettings { replication, ..TlsSettings::default() };
            let master = Master::parse(&[master]).expect("well formed").expect("a master");
            assert_eq!(Config { tls, ..Config::default() }.tls_to(&master), expected, "{replication} {master}");
        };
        check(false, "h:1", false);
        check(false, "rediss://h:1", true);
        check(true, "h:1", true);
        check(true, "redis://h:1", true);
        check(true, "/run/redis.sock", false);
    }
}
