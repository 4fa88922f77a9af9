//! Every error line a client can get, spelled as real servers spell it.
//!
//! A refusal is the text after the `-`, code word first. Commands return it; the dispatcher writes it. The
//! same texts serve apply functions as the reason why a command of the stream could not be applied.

use crate::status::Stale;
use std::borrow::Cow;

/// Why a client of another machine is refused, with the words that differ between servers.
macro_rules! protected {
    ($running:literal, $outside:literal, $same_host:literal, $it_is:literal, $whose:literal, $set_up:literal) => {
        concat!(
            "DENIED ",
            $running,
            " in protected mode because protected mode is enabled and no password is set for the default user. In this \
             mode connections are only accepted from the loopback interface. If you want to connect from external \
             computers",
            $outside,
            " you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG \
             SET protected-mode no' from the loopback interface by connecting",
            $same_host,
            " from the same host the server is running, however MAKE SURE ",
            $it_is,
            " not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) \
             Alternatively you can just disable the protected mode by editing the ",
            $whose,
            "configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If \
             you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) ",
            $set_up,
            " authentication password for the default user. NOTE: You only need to do one of the above things in order \
             for the server to start accepting connections from the outside.",
        )
    };
}

/// An error reply: the line without `-` and line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub Cow<'static, str>);

impl Refusal {
    pub const WRONG_TYPE: Self = Self::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub const SYNTAX: Self = Self::fixed("ERR syntax error");
    pub const NOT_AN_INTEGER: Self = Self::fixed("ERR value is not an integer or out of range");
    pub const NOT_A_FLOAT: Self = Self::fixed("ERR value is not a valid float");
    pub const OUT_OF_RANGE: Self = Self::fixed("ERR value is out of range");
    pub const MUST_BE_POSITIVE: Self = Self::fixed("ERR value is out of range, must be positive");
    pub const NO_SUCH_KEY: Self = Self::fixed("ERR no such key");
    pub const INDEX_OUT_OF_RANGE: Self = Self::fixed("ERR index out of range");
    pub const INVALID_CURSOR: Self = Self::fixed("ERR invalid cursor");
    pub const DB_OUT_OF_RANGE: Self = Self::fixed("ERR DB index is out of range");
    pub const READ_ONLY: Self = Self::fixed("READONLY You can't write against a read only replica.");
    pub const MASTER_DOWN: Self =
        Self::fixed("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
    pub const TOO_OLD: Self =
        Self::fixed("MASTERDOWN The data may be older than 'replica-max-lag-seconds' allows.");
    pub const TOO_FAR_BEHIND: Self =
        Self::fixed("MASTERDOWN More of the master's stream is missing than 'replica-max-lag-bytes' allows.");
    /// As the servers without `enable-module-command`: there is no way to load one here.
    pub const NO_MODULES: Self = Self::fixed(
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    );
    pub const NO_MASTER_LINK: Self = Self::fixed("NOMASTERLINK Can't SYNC while not connected with my master");
    pub const NO_AUTH: Self = Self::fixed("NOAUTH Authentication required.");
    pub const NO_AUTH_HELLO: Self = Self::fixed(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
         <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
         same time",
    );
    pub const WRONG_PASS: Self = Self::fixed("WRONGPASS invalid username-password pair or user is disabled.");
    pub const AUTH_WITHOUT_PASSWORD: Self = Self::fixed(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?",
    );
    pub const NO_PROTO: Self = Self::fixed("NOPROTO unsupported protocol version");
    pub const INCREMENT_OVERFLOW: Self = Self::fixed("ERR increment or decrement would overflow");
    pub const HASH_NOT_AN_INTEGER: Self = Self::fixed("ERR hash value is not an integer");
    pub const FIELDS_MISSING: Self =
        Self::fixed("ERR Mandatory argument FIELDS is missing or not at the right position");
    pub const FIELDS_NOT_POSITIVE: Self = Self::fixed("ERR Number of fields must be a positive integer");
    pub const FIELDS_MISMATCH: Self =
        Self::fixed("ERR The `numfields` parameter must match the number of arguments");
    pub const NUMKEYS_NOT_POSITIVE: Self = Self::fixed("ERR numkeys should be greater than 0");
    pub const NUMKEYS_TOO_MANY: Self = Self::fixed("ERR Number of keys can't be greater than number of args");
    pub const LIMIT_NEGATIVE: Self = Self::fixed("ERR LIMIT can't be negative");
    pub const NOT_A_HYPERLOGLOG: Self = Self::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
    pub const MONITOR_READS: Self = Self::fixed("ERR Replica can't interact with the keyspace");
    pub const FORCED: Self = Self::fixed(
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    );
    pub const UNBLOCKED: Self = Self::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    pub const TOO_MANY_CLIENTS: Self = Self::fixed("ERR max number of clients reached");
    pub const STRING_TOO_LONG: Self = Self::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    pub const CLUSTER_DISABLED: Self = Self::fixed("ERR This instance has cluster support disabled");

    pub const QUEUE_FULL: Self = Self::fixed("ERR too many requests between MULTI and EXEC");

    /// As valkey, whose words name no server: also where the master's family is not known.
    pub const PROTECTED: Self = Self::fixed(protected!("Running", ",", "", "it's", "", "Set up an"));
    /// As redis 8.0.
    pub const PROTECTED_REDIS: Self =
        Self::fixed(protected!("Redis is running", " to Redis", " to Redis", "Redis is", "Redis ", "Set up an"));
    /// As redis 7.0. That of 6.0 advises to set `bind`, which does not help here.
    pub const PROTECTED_REDIS_7_0: Self =
        Self::fixed(protected!("Redis is running", " to Redis", " to Redis", "Redis is", "Redis ", "Setup a an"));

    /// Nothing is loaded yet, in the words of the family.
    pub const fn loading(valkey: bool) -> Self {
        Self::fixed(if valkey {
            "LOADING Valkey is loading the dataset in memory"
        } else {
            "LOADING Redis is loading the dataset in memory"
        })
    }

    const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Any other text, code word first.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// `ERR wrong number of arguments for 'get' command` (subcommands as `object|encoding`).
    pub fn wrong_arity(name: &str) -> Self {
        Self::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// A RESP2 client is subscribed and sends a command that is not about that.
    pub fn while_subscribed(name: &str) -> Self {
        Self::text(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
             this context"
        ))
    }

    /// The key holds something that remora cannot keep (a module's value, a vector set).
    pub fn marked(reason: &str) -> Self {
        Self::text(format!("ERR this key is not kept by remora: {reason}"))
    }

    /// The line as bytes, without `-` and line end.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<Stale> for Refusal {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::LinkDown => Self::MASTER_DOWN,
            Stale::Seconds => Self::TOO_OLD,
            Stale::Bytes => Self::TOO_FAR_BEHIND,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
