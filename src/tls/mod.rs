//! TLS without sockets: certificates, keys and CAs as the settings name them, made into what a handshake needs, and
//! read anew when the files change.
//!
//! Comes in: settings, and the files they name. Goes out: the configuration for the next handshake, ours as a server and
//! ours towards the master; standing connections keep what they began with. Files that cannot be used change nothing.

mod certificate;
mod explain;
mod files;
mod made;
mod verify;

pub use explain::explain;

use crate::clock::UnixMs;
use crate::config::{Config, ConfigError, TlsSettings};
use crate::status::Status;
use files::Stamps;
use made::Made;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

/// What cannot be used, by the setting that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Unusable {
    fn new(setting: &'static str, why: impl Into<String>) -> Self {
        Self { setting, why: why.into() }
    }
}

impl From<Unusable> for ConfigError {
    fn from(fault: Unusable) -> Self {
        Self::Unusable { name: fault.setting, why: fault.why }
    }
}

/// What new handshakes use; one per process.
#[derive(Debug)]
pub struct Tls {
    status: Arc<Status>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    settings: TlsSettings,
    made: Made,
    /// The files as they were when they were last read, with success or without.
    stamps: Stamps,
}

impl Tls {
    /// Reads the files that the settings name, if any end is to speak TLS.
    pub fn start(config: &Config, status: Arc<Status>) -> Result<Self, Unusable> {
        let stamps = Stamps::of(&config.tls);
        let made = Made::from(config)?;
        made.tell(&status, UnixMs::now());
        warn_if_unverified(config);
        Ok(Self { status, current: Mutex::new(Current { settings: config.tls.clone(), made, stamps }) })
    }

    /// For handshakes with clients; `None` without `tls-port`.
    pub fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current.lock().made.server.clone()
    }

    /// For handshakes with the master; `None` if no setting asks for it.
    pub fn client(&self) -> Option<Arc<ClientConfig>> {
        self.current.lock().made.client.clone()
    }

    /// Would CONFIG SET go well? Reads the files if a setting of TLS changes.
    pub fn check(now: &Config, then: &Config) -> Result<(), (&'static str, String)> {
        if now.tls == then.tls {
            return Ok(());
        }
        // The first words are redis 8.0's.
        let refused =
            |fault: Unusable| (fault.setting, format!("Unable to update TLS configuration. {}", fault.why));
        Made::from(then).map(drop).map_err(refused)
    }

    /// Follows the settings after a change. Blocks for as long as the file system does.
    pub fn follow(&self, config: &Config) {
        let changed = self.current.lock().settings != config.tls;
        if changed {
            warn_if_unverified(config);
            self.read(config, Stamps::of(&config.tls));
        }
    }

    /// Reads the files anew if they have changed. Blocks for as long as the file system does.
    pub fn refresh(&self, config: &Config) {
        if made::ends(config) == (false, false) {
            return;
        }
        let stamps = Stamps::of(&config.tls);
        let changed = self.current.lock().stamps != stamps;
        if changed {
            self.read(config, stamps);
        }
    }

    fn read(&self, config: &Config, stamps: Stamps) {
        let made = Made::from(config);
        let mut current = self.current.lock();
        (current.stamps, current.settings) = (stamps, config.tls.clone());
        match made {
            Ok(made) => {
                made.tell(&self.status, UnixMs::now());
                current.made = made;
                self.status.tls.reloads.count("ok");
                tracing::info!("certificates were read anew");
            }
            Err(Unusable { setting, why }) => {
                self.status.tls.reloads.count("failed");
                tracing::warn!(setting, why, "changed certificates cannot be used; the old ones stay");
            }
        }
    }
}

fn warn_if_unverified(config: &Config) {
    if config.tls.skip_verify {
        tracing::warn!("tls-skip-verify: whoever sits between us and the master can read and change everything");
    }
}
