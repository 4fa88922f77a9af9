//! The settings while the program runs: many readers, and CONFIG SET.

use super::table::{SETTINGS, Setting};
use super::{Config, UserChange, foreign, rewrite};
use crate::glob;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What CONFIG SET answers for what is fixed at the start.
pub(super) const IMMUTABLE_TEXT: &str = "can't set immutable config";

type OnChange = Box<dyn Fn(&Config) + Send + Sync>;
/// Looks at the settings before and after; complains with the name of one of them.
type Guard = Box<dyn Fn(&Config, &Config) -> Result<(), (&'static str, String)> + Send + Sync>;

/// Why CONFIG REWRITE did nothing.
#[derive(Debug)]
pub enum RewriteRefused {
    /// The program was started without a file.
    NoFile,
    /// The file cannot be written.
    Failed(std::io::Error),
}

/// The settings of now. Readers that ask often keep a [`Watch`], which costs one relaxed load while nothing
/// changes.
pub struct LiveConfig {
    current: Mutex<Arc<Config>>,
    /// As of the start or the last rewrite.
    written: Mutex<Arc<Config>>,
    generation: AtomicU64,
    on_change: Mutex<Vec<OnChange>>,
    guards: Mutex<Vec<Guard>>,
}

/// Why CONFIG SET did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetRefused {
    /// There is no setting of this name.
    Unknown(String),
    /// The value of this name was not taken, and why.
    Failed(String, String),
}

impl LiveConfig {
    /// Starts with the checked settings.
    pub fn new(config: Config) -> Self {
        let config = Arc::new(config);
        Self {
            current: Mutex::new(Arc::clone(&config)),
            written: Mutex::new(config),
            generation: AtomicU64::new(0),
            on_change: Mutex::default(),
            guards: Mutex::default(),
        }
    }

    /// The settings of now, as a whole. Takes a short lock.
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.current.lock())
    }

    /// A cached view for a thread that asks often.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let seen = self.generation.load(Ordering::Acquire);
        Watch { live: Arc::clone(self), seen, config: self.get() }
    }

    /// Calls `f` after each change, on the thread that made it (log level, for one).
    pub fn on_change(&self, f: impl Fn(&Config) + Send + Sync + 'static) {
        self.on_change.lock().push(Box::new(f));
    }

    /// Asks `guard` before each CONFIG SET, with the settings as they are and as they would be; what it complains
    /// about is refused.
    pub fn guard(
        &self,
        guard: impl Fn(&Config, &Config) -> Result<(), (&'static str, String)> + Send + Sync + 'static,
    ) {
        self.guards.lock().push(Box::new(guard));
    }

    /// Changes the settings by code of ours (REPLICAOF).
    pub fn change(&self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.get());
        change(&mut config);
        self.publish(config);
    }

    /// CONFIG SET: all of the pairs, or none and the reason. Names are looked at before values (as redis 7.0); where a
    /// setting is named by two of its names, the last one counts.
    pub fn set(&self, pairs: &[(&[u8], &[u8])]) -> Result<(), SetRefused> {
        let named = named(pairs)?;
        let mut config = Config::clone(&self.get());
        for (known, value) in named {
            let set = match known {
                Known::Setting(_, setting) => setting.read_text(&mut config, value),
                Known::Fixed(entry) => foreign::set_fixed(entry, value),
            };
            set.map_err(|why| SetRefused::Failed(known.name().into(), why))?;
        }
        let now = self.get();
        let refused = self.guards.lock().iter().find_map(|guard| guard(&now, &config).err());
        if let Some((name, why)) = refused {
            return Err(SetRefused::Failed(name.into(), why));
        }
        self.publish(config);
        Ok(())
    }

    /// CONFIG REWRITE: writes what was changed into the file that the program was started from, and these users.
    pub fn rewrite(&self, users: &[UserChange]) -> Result<(), RewriteRefused> {
        let mut written = self.written.lock();
        let now = self.get();
        let path = now.config_file.as_deref().ok_or(RewriteRefused::NoFile)?;
        rewrite::rewrite(path, &written, &now, users).map_err(RewriteRefused::Failed)?;
        *written = now;
        Ok(())
    }

    /// CONFIG GET: what these names and patterns ask for, with the values, each once. What is asked for by its name is
    /// called as it was asked for (as redis 7.0). Secrets are shown, as by the real servers.
    pub fn show(&self, asked: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let config = self.get();
        let (mut shown, mut seen) = (Vec::new(), HashSet::new());
        let mut add = |known: Known, called: &[u8]| {
            if seen.insert(known.name()) {
                shown.push((called.to_vec(), known.show(&config)));
            }
        };
        for name in asked {
            if name.iter().any(|c| b"*?[".contains(c)) {
                let found = Known::all().filter(|known| glob::matches_any_case(name, known.name().as_bytes()));
                found.for_each(|known| add(known, known.name().as_bytes()));
            } else if let Some(known) = Known::find(name) {
                add(known, name);
            }
        }
        shown
    }

    fn publish(&self, config: Config) {
        let config = Arc::new(config);
        *self.current.lock() = Arc::clone(&config);
        self.generation.fetch_add(1, Ordering::Release);
        self.on_change.lock().iter().for_each(|f| f(&config));
    }
}

/// A name that CONFIG GET and SET know.
#[derive(Clone, Copy)]
enum Known {
    /// A setting, and by which of its names.
    Setting(&'static str, &'static Setting),
    /// A name of the real servers with its one value.
    Fixed((&'static str, &'static str)),
}

impl Known {
    fn all() -> impl Iterator<Item = Self> {
        let ours =
            SETTINGS.iter().flat_map(|setting| setting.names().map(move |name| Self::Setting(name, setting)));
        ours.chain(foreign::FIXED.iter().copied().map(Self::Fixed))
    }

    /// In either case.
    fn find(name: &[u8]) -> Option<Self> {
        Self::all().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Setting(name, _) | Self::Fixed((name, _)) => name,
        }
    }

    fn is_immutable(self) -> bool {
        match self {
            Self::Setting(_, setting) => !setting.live,
            Self::Fixed((name, _)) => foreign::is_immutable(name),
        }
    }

    fn show(self, config: &Config) -> Vec<u8> {
        match self {
            Self::Setting(_, setting) => setting.show(config),
            Self::Fixed((_, value)) => value.into(),
        }
    }
}

/// What the names of the pairs mean; the first that cannot be set is an error, spelled as it came.
fn named<'a>(pairs: &[(&[u8], &'a [u8])]) -> Result<Vec<(Known, &'a [u8])>, SetRefused> {
    let mut seen = HashSet::new();
    let mut look_up = |name: &[u8]| {
        let spelled = String::from_utf8_lossy(name).into_owned();
        let Some(known) = Known::find(name) else { return Err(SetRefused::Unknown(spelled)) };
        if known.is_immutable() {
            return Err(SetRefused::Failed(spelled, IMMUTABLE_TEXT.into()));
        }
        if !seen.insert(known.name()) {
            return Err(SetRefused::Failed(spelled, "duplicate parameter".into()));
        }
        Ok(known)
    };
    pairs.iter().map(|(name, value)| Ok((look_up(name)?, *value))).collect()
}

impl fmt::Debug for LiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveConfig").field(&self.get()).finish()
    }
}

/// A thread's own view of the settings.
#[derive(Debug)]
pub struct Watch {
    live: Arc<LiveConfig>,
    seen: u64,
    config: Arc<Config>,
}

impl Watch {
    /// The settings of now, looked up again only after a change.
    pub fn config(&mut self) -> &Arc<Config> {
        let generation = self.live.generation.load(Ordering::Acquire);
        if generation != self.seen {
            self.seen = generation;
            self.config = self.live.get();
        }
        &self.config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_everyone() {
        let live = Arc::new(LiveConfig::new(Config::default()));
        let mut watch = live.watch();
        let told = Arc::new(AtomicU64::new(0));
        let teller = Arc::clone(&told);
        live.on_change(move |config| teller.store(config.maxclients as u64, Ordering::Relaxed));
        assert_eq!(watch.config().maxclients, 10_000);
        assert_eq!(live.set(&[(b"MaxClients", b"5"), (b"repl-timeout", b"9")]), Ok(()));
        assert_eq!((watch.config().maxclients, live.get().repl_timeout_s), (5, 9));
        assert_eq!(told.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_refused_set_changes_nothing() {
        let live = LiveConfig::new(Config::default());
        let check = |pairs: &[(&str, &str)], expected: SetRefused| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            assert_eq!(live.set(&pairs), Err(expected));
            assert_eq!(*live.get(), Config::default());
        };
        let failed = |name: &str, why: &str| SetRefused::Failed(name.into(), why.into());
        check(&[("timeout", "1"), ("nosuch", "1")], SetRefused::Unknown("nosuch".into()));
        check(&[("timeout", "1"), ("port", "1")], failed("port", "can't set immutable config"));
        check(
            &[("slave-priority", "100")],
            failed("slave-priority", "remora is never promoted: only 0 can be told to Sentinel"),
        );
        check(&[("appendonly", "yes")], failed("appendonly", "remora has no other value than 'no'"));
        check(&[("timeout", "1"), ("TimeOut", "2")], failed("TimeOut", "duplicate parameter"));
        check(&[("timeout", "x"), ("NoSuch", "1")], SetRefused::Unknown("NoSuch".into()));
        check(&[("timeout", "x"), ("Databases", "1")], failed("Databases", "can't set immutable config"));
        check(
            &[("databases", "1"), ("timeout", "1"), ("timeout", "1")],
            failed("databases", "can't set immutable config"),
        );
        check(
            &[("timeout", "1"), ("maxclients", "x")],
            failed("maxclients", "argument couldn't be parsed into an integer"),
        );
    }

    #[test]
    fn a_guard_can_refuse_what_is_well_formed() {
        let live = LiveConfig::new(Config::default());
        live.guard(|now, then| {
            if then.maxclients < now.maxclients { Err(("maxclients", "only upwards".into())) } else { Ok(()) }
        });
        assert_eq!(live.set(&[(b"timeout", b"1"), (b"maxclients", b"20000")]), Ok(()));
        let refused = SetRefused::Failed("maxclients".into(), "only upwards".into());
        assert_eq!(live.set(&[(b"timeout", b"2"), (b"maxclients", b"1")]), Err(refused));
        assert_eq!((live.get().timeout_s, live.get().maxclients), (1, 20_000));
    }

    #[test]
    fn names_and_aliases_are_shown() {
        let live = LiveConfig::new(Config::default());
        let check = |asked: &[&str], expected: &[(&str, &str)]| {
            let asked: Vec<&[u8]> = asked.iter().map(|name| name.as_bytes()).collect();
            let expected =
                expected.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
            assert_eq!(live.show(&asked), expected.collect::<Vec<_>>(), "{asked:?}");
        };
        check(
            &["slave-priority", "replica-priority", "save"],
            &[("slave-priority", "0"), ("replica-priority", "0"), ("save", "")],
        );
        check(&["MaxClients", "maxclients", "maxclient*", "nosuch"], &[("MaxClients", "10000")]);
        check(&["REPL-TIME[o]ut", "\\timeout"], &[("repl-timeout", "60")]);
    }
}
