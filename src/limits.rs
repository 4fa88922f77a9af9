//! Every bound and default size of the program, with the relations between them asserted at compile time.
//!
//! Nothing here depends on anything of ours. A bound that a user may set has its default here and its
//! setting in `config`.

use std::time::Duration;

/// Longest inline command line a client may send, bytes (as redis 7.0: `PROTO_INLINE_MAX_SIZE`).
pub const INLINE_REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one client request (as redis 7.0: any 31-bit number).
pub const REQUEST_ARGUMENTS_MAX: usize = i32::MAX as usize;
/// Bytes of one client request, all arguments together (as redis: `client-query-buffer-limit`).
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Most arguments of a request on a connection that has not authenticated yet (as redis 7.0).
pub const UNAUTHENTICATED_ARGUMENTS_MAX: usize = 10;
/// Longest bulk string on a connection that has not authenticated yet, bytes (as redis 7.0).
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;
/// Longest bulk string of a client request, bytes (as redis: `proto-max-bulk-len`).
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most arguments of one command in the replication stream: what a master's client may have sent.
pub const STREAM_ARGUMENTS_MAX: usize = REQUEST_ARGUMENTS_MAX;
/// Bytes of one command in the replication stream. Words are addressed with 32 bits.
pub const STREAM_COMMAND_BYTES_MAX: usize = u32::MAX as usize - 64;
/// Longest value a string may grow to, bytes (as redis: 512 MiB).
pub const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Cells of the table of one LCS, with a row and a column in front (as redis: of four bytes each they fit into
/// `proto-max-bulk-len`). Ours take a bit; more of them would keep the writer waiting.
pub const LCS_CELLS_MAX: usize = BULK_BYTES_MAX / 4;

/// Most requests that a client may queue between MULTI and EXEC ...
pub const MULTI_REQUESTS_MAX: usize = 1 << 20;
/// ... and bytes that they may take (real servers count them towards the 1 GiB of `client-query-buffer-limit`).
pub const MULTI_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most keys that a client may WATCH at a time ...
pub const WATCHED_KEYS_MAX: usize = 1 << 16;
/// ... and bytes of their names.
pub const WATCHED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A write batch ends at this many commands ...
pub const APPLY_BATCH_COMMANDS_MAX: usize = 64;
/// ... or at this many microseconds, whichever is first (but never inside the master's transaction).
pub const APPLY_BATCH_US_MAX: u64 = 200;

/// Most pipelined requests of one connection that are executed under one entry of the gate.
pub const READ_BATCH_REQUESTS_MAX: usize = 256;

/// Bytes of stream that may wait in memory behind a snapshot that is still loading; beyond it the master has to keep
/// them (as redis: a replica's own `client-output-buffer-limit replica` is 256 MiB).
pub const STREAM_BEHIND_SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes in which the facts at the head of a snapshot must have come; later ones are not waited for.
pub const SNAPSHOT_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of our own snapshot that may wait to be written while the rate is kept; beyond it the rate is not.
pub const SAVE_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A last save that has not ended so long behind `save-timeout` hangs in the disk.
pub const SAVE_HANGS_AFTER: Duration = Duration::from_secs(3);
/// A replica that has diverged asks for everything anew after a random half to whole of this time: each try is a
/// snapshot that the master has to make.
pub const DIVERGED_PAUSE: Duration = Duration::from_secs(300);
/// Different commands that may fail, each with a full resync behind it, before that counts as a divergence.
pub const DISTRUSTED_COMMANDS_MAX: usize = 8;
/// Most remoras above us of which the master may tell.
pub const CHAIN_NODES_MAX: usize = 64;
/// Answers about the master's offset that are kept until the stream has come so far.
pub const LAG_SAMPLES_MAX: usize = 256;
/// Longest answer about replication, bytes: a master has a line of some 70 for each replica.
pub const PROBE_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Default of `repl-lag-probe-interval-ms`.
pub const LAG_PROBE_INTERVAL_MS_DEFAULT: u64 = 1_000;
/// The master is asked no oftener than this, milliseconds.
pub const LAG_PROBE_INTERVAL_MS_MIN: u64 = 10;
/// Longest lines a master may send during the handshake, bytes.
pub const HANDSHAKE_LINE_BYTES_MAX: usize = 16 * 1024;

/// A TLS handshake, with the master or with a client, must be done within this time.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most handshakes with clients at a time. One more ends the oldest of them, which is most likely to be with somebody
/// who says nothing.
pub const TLS_HANDSHAKES_MAX: usize = 1024;

/// Most words of what a sub-replica says, which is `REPLCONF ACK n FACK m` at the longest.
pub const SUB_REPLICA_ARGUMENTS_MAX: usize = 16;
/// Longest thing that a sub-replica may say, bytes.
pub const SUB_REPLICA_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a snapshot that may wait for the slowest of the sub-replicas that share it; then its making pauses.
pub const SNAPSHOT_WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Sub-replicas that have labels of their own in the metrics.
pub const SUB_REPLICAS_LABELLED_MAX: usize = 64;

/// Open files that are no client's and no thread's: listeners, links to the master and to Sentinels, log, snapshots (as
/// redis: `CONFIG_MIN_RESERVED_FDS 32`).
pub const FILES_OWN: usize = 32;
/// Open files of a thread's runtime ...
pub const FILES_PER_THREAD: usize = 4;
/// ... and threads that have one besides the workers: main, link, feeder, handshakes.
pub const THREADS_OWN: usize = 4;
/// Most connections to `metrics-addr` at a time. One more ends the one that has been silent for longest.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// The head of a request to `metrics-addr` must have come within this time; an idle connection is closed after it.
pub const ADMIN_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest head of a request to `metrics-addr`, bytes.
pub const ADMIN_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Default number of databases (as redis: `databases 16`).
pub const DATABASES_DEFAULT: usize = 16;
/// Most databases that a master's stream or snapshot may make us hold.
pub const DATABASES_MAX: usize = 16 * 1024;
/// Keys for which room is made on the mere word of a snapshot: 128 MiB of segments, which is what a lie costs. Real
/// servers believe any number.
pub const SNAPSHOT_RESERVE_KEYS_MAX: u64 = 1 << 23;
/// Default of `maxclients` (as redis).
pub const MAXCLIENTS_DEFAULT: usize = 10_000;
/// Bytes that may wait for one client in any case, also where `client-output-buffer-limit` sets no limit.
pub const MAILBOX_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of replies that may wait for one client where `client-output-buffer-limit` sets no limit; real servers go on until
/// their memory is gone. A client that wants more at once asks for a limit of that size.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Replies up to this size are never too big, whatever the limit (as redis: its first buffer is not counted).
pub const REPLY_BYTES_FREE: usize = 16 * 1024;
/// Default of `tracking-table-max-keys` (as redis).
pub const TRACKED_KEYS_DEFAULT: usize = 1_000_000;
/// Most channels, patterns and shard channels that one client may be subscribed to (redis has no bound).
pub const SUBSCRIPTIONS_PER_CLIENT_MAX: usize = 1 << 20;
/// Most members that ZRANDMEMBER picks with repetition (redis has no bound and runs out of memory).
pub const RANDOM_MEMBERS_MAX: usize = 1 << 24;
/// Entries asked of one SCAN step without COUNT (as redis).
pub const SCAN_COUNT_DEFAULT: usize = 10;
/// Most repeated picks of one SRANDMEMBER or HRANDFIELD with a negative count. Real servers try any number and are
/// gone for as long; a replica that must go on applying refuses.
pub const RANDOM_REPEATS_MAX: u64 = 1 << 22;

/// Memory of the Lua machine that runs EVAL, and of the one that runs functions, bytes each. Real servers have no bound.
pub const SCRIPT_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest reply that a script may answer, bytes: a table may hold the same long string many times.
pub const SCRIPT_REPLY_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Scripts kept of those that only EVAL brought; the one unused for longest goes first (as redis 7.4, valkey 8).
pub const SCRIPTS_EVALUATED_MAX: usize = 500;
/// Bytes of all scripts kept. SCRIPT LOAD beyond it is refused; real servers have no bound.
pub const SCRIPTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Stack of a thread that runs scripts, bytes; only what is used takes memory.
pub const SCRIPT_STACK_BYTES: usize = 32 * 1024 * 1024;
/// Coroutines stop nesting at this use of the stack; what one of them may add behind the check fits into the rest.
pub const SCRIPT_STACK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Slots of Lua's stack that nested tables of a script's reply may take (as the real servers, who recurse).
pub const SCRIPT_REPLY_SLOTS_MAX: usize = 7_994;
/// Captures of one pattern of a script (as Lua 5.1).
pub const PATTERN_CAPTURES_MAX: usize = 32;
/// Quantifiers and captures that one match of a script's pattern may nest; Lua 5.1 takes C's stack until it is gone.
pub const PATTERN_DEPTH_MAX: usize = 1_000;
/// Default of `busy-reply-threshold`, milliseconds (as redis).
pub const BUSY_REPLY_THRESHOLD_MS_DEFAULT: u64 = 5_000;

// `+OK` and the ids of a chain, 40 digits each, are one line of a handshake.
const _: () = assert!((CHAIN_NODES_MAX + 1) * 41 < HANDSHAKE_LINE_BYTES_MAX);
const _: () = assert!(LAG_SAMPLES_MAX >= 2);
const _: () = assert!(LAG_PROBE_INTERVAL_MS_MIN <= LAG_PROBE_INTERVAL_MS_DEFAULT);
const _: () = assert!(SCRIPT_STACK_BYTES_MAX * 2 <= SCRIPT_STACK_BYTES);
const _: () = assert!(UNAUTHENTICATED_BULK_BYTES_MAX < BULK_BYTES_MAX);
// Words of queued requests are addressed with 32 bits.
const _: () = assert!(MULTI_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(UNAUTHENTICATED_ARGUMENTS_MAX < REQUEST_ARGUMENTS_MAX);
const _: () = assert!(APPLY_BATCH_COMMANDS_MAX > 0 && READ_BATCH_REQUESTS_MAX > 0);
