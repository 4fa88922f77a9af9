//! The data at rest: numbered databases of keys, function libraries, and the position in the master's history.
//!
//! Comes in: values built by `rdb::load` or changed by apply functions. Goes out: `&Dataset` for read rows. It
//! knows no protocol, no sockets and no clock; whoever asks about expiry brings `now`.

pub mod bits;
pub mod capture;
pub mod digest;
pub mod entry;
pub mod expiry;
pub mod functions;
pub mod gate;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod keyspace;
pub mod list;
pub mod members;
pub mod packed;
pub mod segment;
pub mod set;
pub mod stream;
pub mod string;
pub mod trash;
pub mod uses;
pub mod value;
pub mod weight;
pub mod zset;

pub use keyspace::{EntryRef, Keyspace};
pub use trash::Trash;
pub use uses::{Stamp, Statistic, Uses};
pub use value::{HashMut, HashSlot, Marked, StrForm, Value, ValueKind, ValueMut, ValueRef};

use crate::clock::UnixMs;
use crate::config::{Compat, Encodings, UseSettings};
use crate::position::{DbIndex, Position, ReplId};
use functions::Functions;
use packed::listpack::BackLengths;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sizes up to which compact encodings are kept, and which master's rules apply where the masters differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodingLimits {
    /// The settings `*-max-listpack-*` and their kin.
    pub sizes: Encodings,
    /// The master's family and release.
    pub dialect: Dialect,
}

impl std::ops::Deref for EncodingLimits {
    type Target = Encodings;

    fn deref(&self) -> &Encodings {
        &self.sizes
    }
}

impl From<Encodings> for EncodingLimits {
    fn from(sizes: Encodings) -> Self {
        Self { sizes, dialect: Dialect::default() }
    }
}

/// Which family and release the master is, as far as its data differ. Learnt from the snapshot's AUX fields
/// `redis-ver` / `valkey-ver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// Redis with this (major, minor).
    Redis(u8, u8),
    /// Valkey with this (major, minor).
    Valkey(u8, u8),
}

impl Default for Dialect {
    fn default() -> Self {
        Self::Redis(8, 0)
    }
}

impl Dialect {
    /// As whose server clients are answered if this one is the master: the one place where the setting `compat` meets the
    /// master's family. Another family than the master's is of its newest release that remora knows.
    pub fn answering(self, compat: Compat) -> Self {
        match (compat, self) {
            (Compat::Redis, Self::Valkey(..)) => Self::Redis(8, 0),
            (Compat::Valkey, Self::Redis(..)) => Self::Valkey(9, 1),
            _ => self,
        }
    }

    /// Redis 6 and older: no LISTPACK names, ziplist encodings in OBJECT ENCODING.
    pub fn is_before_redis_7(self) -> bool {
        matches!(self, Self::Redis(major, _) if major < 7)
    }

    /// Small sets of strings are listpacks, lists of one node are `listpack` (Redis 7.2+, Valkey).
    pub fn has_set_listpacks(self) -> bool {
        match self {
            Self::Redis(major, minor) => (major, minor) >= (7, 2),
            Self::Valkey(..) => true,
        }
    }

    /// XCLAIM creates its consumer even if there is nothing to claim (Redis 7.2+, Valkey).
    pub fn claims_create_consumers(self) -> bool {
        self.has_set_listpacks()
    }

    /// A key that is renamed or moved counts as a new one that nobody has used (Redis 7.2+, Valkey).
    pub fn moves_make_new_keys(self) -> bool {
        self.has_set_listpacks()
    }

    /// XADD and LREM tell of their events before who tracks the key hears of it (Redis 8.0, Valkey; not 7.0).
    pub fn tells_events_first(self) -> bool {
        self.has_set_listpacks()
    }

    /// Doubles are printed with Grisu2 digits (Redis 7.2+, Valkey), not `%.17g`.
    pub fn prints_shortest_doubles(self) -> bool {
        self.has_set_listpacks()
    }

    /// Scores and degrees may be written in hexadecimal (not for Valkey 9).
    pub fn reads_hexadecimal(self) -> bool {
        !matches!(self, Self::Valkey(9.., _))
    }

    /// Ends of intervals and SORT's weights are plain decimal numbers (Redis 8, Valkey 9): before, as `strtod` reads them.
    pub fn reads_bounds_strictly(self) -> bool {
        matches!(self, Self::Redis(8.., _) | Self::Valkey(9.., _))
    }

    /// SCAN refuses a cursor that is a plain negative number or empty, and takes spaces in front (Redis 7.2+, Valkey).
    pub fn reads_cursors_as_numbers(self) -> bool {
        self.has_set_listpacks()
    }

    /// How its listpacks store back lengths.
    pub fn back_lengths(self) -> BackLengths {
        if matches!(self, Self::Valkey(major, minor) if (major, minor) >= (9, 1)) {
            BackLengths::Valkey91
        } else {
            BackLengths::Redis
        }
    }

    /// Searches of places put no more in order than their COUNT takes (Redis 6.2, Valkey).
    pub fn sorts_places_in_part(self) -> bool {
        match self {
            Self::Redis(major, minor) => (major, minor) >= (6, 2),
            Self::Valkey(..) => true,
        }
    }

    /// GEOSEARCH knows BYPOLYGON (Valkey 9).
    pub fn has_geo_polygons(self) -> bool {
        matches!(self, Self::Valkey(9.., _))
    }

    /// Hash fields may expire (Redis 7.4, Valkey 9).
    pub fn has_field_expiry(self) -> bool {
        match self {
            Self::Redis(major, minor) => (major, minor) >= (7, 4),
            Self::Valkey(major, _) => major >= 9,
        }
    }

    /// CLIENT REPLY is refused between MULTI and EXEC (Valkey 9).
    pub fn refuses_client_reply_in_multi(self) -> bool {
        matches!(self, Self::Valkey(9.., _))
    }

    /// INFO tells of threads, event loops and keys with fields that expire, as far as it is a Redis (8.0).
    pub fn is_redis_8(self) -> bool {
        matches!(self, Self::Redis(8.., _))
    }

    /// Function libraries exist (Redis 7, Valkey).
    pub fn has_functions(self) -> bool {
        !self.is_before_redis_7()
    }

    /// ACL users show `sanitize-payload` (Redis 7.2+, Valkey 8).
    pub fn shows_payload_checks(self) -> bool {
        match self {
            Self::Redis(major, minor) => (major, minor) >= (7, 2),
            Self::Valkey(major, _) => major < 9,
        }
    }

    /// ACL rules can name databases (Valkey 9.1).
    pub fn has_database_rules(self) -> bool {
        matches!(self, Self::Valkey(major, minor) if (major, minor) >= (9, 1))
    }

    /// The engine of scripts counts as a module (Valkey 9.1).
    pub fn has_engine_modules(self) -> bool {
        self.has_database_rules()
    }

    /// Before AUTH it does not even say that a request is malformed.
    pub fn asks_for_auth_first(self) -> bool {
        matches!(self, Self::Valkey(9.., _))
    }

    /// A Valkey server.
    pub fn is_valkey(self) -> bool {
        matches!(self, Self::Valkey(..))
    }
}

/// Since which releases servers know a command of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Of Redis; `None`: none does.
    pub redis: Option<(u8, u8)>,
    /// The same of Valkey.
    pub valkey: Option<(u8, u8)>,
}

impl Since {
    /// All that may be below us.
    pub const ALWAYS: Self = Self { redis: Some((6, 0)), valkey: Some((7, 2)) };

    /// Does a server of this release know it?
    pub fn includes(self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Redis(major, minor) => self.redis.is_some_and(|since| (major, minor) >= since),
            Dialect::Valkey(major, minor) => self.valkey.is_some_and(|since| (major, minor) >= since),
        }
    }
}

/// Everything that is replicated.
#[derive(Debug)]
pub struct Dataset {
    /// Another one for each dataset of this process.
    serial: u64,
    databases: Vec<Keyspace>,
    /// Function libraries by name.
    pub functions: Functions,
    /// Where in the master's history this data stands; moves in the same step as the data.
    pub position: Position,
    /// Encoding limits and the master's dialect: what the data are like. How clients are answered is `dialect()` of the
    /// contexts.
    pub limits: EncodingLimits,
    /// Which statistic of use the snapshot carried that this dataset was loaded from.
    pub carried: Option<Statistic>,
    /// How the writer records uses.
    uses: Uses,
    torn: bool,
}

impl Dataset {
    /// An empty dataset of `databases` databases at a position.
    pub fn new(databases: usize, position: Position, limits: EncodingLimits) -> Self {
        static SERIALS: AtomicU64 = AtomicU64::new(0);
        Self {
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
            databases: (0..databases).map(|_| Keyspace::default()).collect(),
            functions: Functions::default(),
            position,
            limits,
            carried: None,
            uses: Uses::default(),
            torn: false,
        }
    }

    /// Frees everything; `between` is called between two short steps.
    pub fn free(self, mut between: impl FnMut()) {
        self.databases.into_iter().for_each(|keyspace| keyspace.free(&mut between));
    }

    /// Are these the data of a master? Before the first snapshot, and while old data are gone for the sake of new
    /// ones, they are not, and reads answer LOADING. Asked inside the gate, where nothing can change in between.
    pub fn is_loaded(&self) -> bool {
        self.position.replid != ReplId::ZERO
    }

    /// How uses are recorded at this moment, by these settings.
    #[inline]
    pub fn uses(&self, settings: UseSettings, now: UnixMs) -> Uses {
        Uses::new(settings, self.carried, now)
    }

    /// What the writer does from now on are uses at this moment. Costs a comparison, and a look at each database where
    /// the clock of uses has moved.
    pub fn at_moment(&mut self, settings: UseSettings, now: UnixMs) {
        let uses = self.uses(settings, now);
        if uses != self.uses {
            self.uses = uses;
            self.databases.iter_mut().for_each(|keyspace| keyspace.uses = uses);
        }
    }

    /// The next command of the stream begins: a key counts as used once by each.
    #[inline]
    pub fn begin_command(&mut self, db: DbIndex) {
        if let Some(keyspace) = self.databases.get_mut(db.0 as usize) {
            keyspace.begin_command();
        }
    }

    /// A transaction of the master was applied in part, so the data are those of no offset: nobody may be given them
    /// as a snapshot.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Says so, for as long as this dataset lives.
    pub fn tear(&mut self) {
        self.torn = true;
    }

    /// The database of this number, or `None` beyond `databases`.
    pub fn db(&self, index: DbIndex) -> Option<&Keyspace> {
        self.databases.get(index.0 as usize)
    }

    /// The database of this number for changing.
    pub fn db_mut(&mut self, index: DbIndex) -> Option<&mut Keyspace> {
        self.databases.get_mut(index.0 as usize)
    }

    /// Two different databases at once (COPY, MOVE); `None` if they are the same or out of range.
    pub fn two_dbs_mut(&mut self, a: DbIndex, b: DbIndex) -> Option<(&mut Keyspace, &mut Keyspace)> {
        let [a, b] = self.databases.get_disjoint_mut([a.0 as usize, b.0 as usize]).ok()?;
        Some((a, b))
    }

    /// All databases with their numbers, ascending.
    pub fn dbs(&self) -> impl Iterator<Item = (DbIndex, &Keyspace)> {
        (0..).map(DbIndex).zip(&self.databases)
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// Makes sure that database `index` exists (a snapshot of a master with more databases than ours).
    pub fn grow_to(&mut self, index: DbIndex) {
        while self.databases.len() <= index.0 as usize {
            self.databases.push(Keyspace::new(self.uses));
        }
    }

    /// Exchanges the contents of two databases; `false` if one is out of range.
    pub fn swap_dbs(&mut self, a: DbIndex, b: DbIndex) -> bool {
        let (a, b) = (a.0 as usize, b.0 as usize);
        let fits = a < self.databases.len() && b < self.databases.len();
        if fits {
            self.databases.swap(a, b);
        }
        fits
    }

    /// Number of keys marked as not kept, over all databases.
    pub fn marked_keys(&self) -> usize {
        self.databases.iter().map(Keyspace::marked).sum()
    }
}
