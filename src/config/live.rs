//! The settings while the program runs: many readers, and CONFIG SET.

use super::table::{SETTINGS, Setting};
use super::{Config, foreign, rewrite};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// CONFIG SET: all of the pairs, or none and the reason.
    pub fn set(&self, pairs: &[(&[u8], &[u8])]) -> Result<(), SetRefused> {
        let mut config = Config::clone(&self.get());
        let mut seen: Vec<&str> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let failed = |why: &str| SetRefused::Failed(name.clone(), why.into());
            let Some(setting) = Setting::find(&name) else {
                let fixed = foreign::FIXED.iter().any(|(known, _)| *known == name);
                return Err(if fixed { failed("can't set immutable config") } else { SetRefused::Unknown(name) });
            };
            if seen.contains(&setting.name) {
                return Err(failed("duplicate parameter"));
            }
            seen.push(setting.name);
            if !setting.live {
                return Err(failed("can't set immutable config"));
            }
            setting.read_text(&mut config, value).map_err(|why| failed(&why))?;
        }
        let now = self.get();
        let refused = self.guards.lock().iter().find_map(|guard| guard(&now, &config).err());
        if let Some((name, why)) = refused {
            return Err(SetRefused::Failed(name.into(), why));
        }
        self.publish(config);
        Ok(())
    }

    /// CONFIG REWRITE: writes what was changed into the file that the program was started from.
    pub fn rewrite(&self) -> Result<(), RewriteRefused> {
        let mut written = self.written.lock();
        let now = self.get();
        let path = now.config_file.as_deref().ok_or(RewriteRefused::NoFile)?;
        rewrite::rewrite(path, &written, &now).map_err(RewriteRefused::Failed)?;
        *written = now;
        Ok(())
    }

    /// CONFIG GET: names that `wanted` accepts, with their values, in the order of the table. Names that real
    /// servers have and tools ask for are there too. Secrets are shown, as by the real servers.
    pub fn show(&self, wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, Vec<u8>)> {
        let config = self.get();
        let ours = SETTINGS.iter().flat_map(|setting| setting.names().map(move |name| (name, setting)));
        let ours = ours.filter(|(name, _)| wanted(name)).map(|(name, setting)| (name, setting.show(&config)));
        let fixed = foreign::FIXED.iter().filter(|(name, _)| wanted(name));
        ours.chain(fixed.map(|(name, value)| (*name, value.as_bytes().to_vec()))).collect()
    }

    fn publish(&self, config: Config) {
        let config = Arc::new(config);
        *self.current.lock() = Arc::clone(&config);
        self.generation.fetch_add(1, Ordering::Release);
        self.on_change.lock().iter().for_each(|f| f(&config));
    }
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
        check(&[("appendonly", "yes")], failed("appendonly", "can't set immutable config"));
        check(&[("timeout", "1"), ("timeout", "2")], failed("timeout", "duplicate parameter"));
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
        let shown = live.show(|name| name == "slave-priority" || name == "replica-priority" || name == "save");
        assert_eq!(
            shown,
            [("replica-priority", b"0".to_vec()), ("slave-priority", b"0".to_vec()), ("save", Vec::new())]
        );
    }
}
