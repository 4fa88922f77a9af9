//! Where log lines go, in which form, and which of them: `logfile`, `log-format`, `loglevel`.

use crate::clock::UnixMs;
use crate::config::{Config, LiveConfig, LogFormat, LogLevel};
use crate::progress::Screen;
use std::fs::OpenOptions;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging as the settings say; CONFIG SET loglevel is followed. To be called once per process.
pub fn start(live: &LiveConfig, screen: &Screen) -> io::Result<()> {
    let config = live.get();
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    let lines = match &config.logfile {
        Some(path) => {
            let file =
                OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                    io::Error::new(error.kind(), format!("logfile {}: {error}", path.display()))
                })?;
            layer(&config, Arc::new(file))
        }
        None => {
            let screen = screen.clone();
            layer(&config, move || screen.clone())
        }
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(level)).try_init();
    started.map_err(io::Error::other)?;
    // The handle fails only once the subscriber is gone, and with it everyone who could see the level.
    live.on_change(move |config| drop(handle.reload(filter(config.loglevel))));
    Ok(())
}

fn layer<W>(config: &Config, writer: W) -> Boxed
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let colours = config.logfile.is_none() && io::IsTerminal::is_terminal(&io::stdout());
    let lines = fmt::layer().with_writer(writer).with_ansi(colours).with_target(false);
    match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// redis.conf's words: `notice` is what `info!` says, `verbose` what `debug!` says.
fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

/// A line that whoever is outside can provoke: it is logged at most so often.
#[derive(Debug)]
pub struct Seldom {
    interval: Duration,
    next_ms: AtomicI64,
}

impl Seldom {
    /// At most one line in each `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, next_ms: AtomicI64::new(i64::MIN) }
    }

    /// May it be logged now?
    pub fn is_due(&self, now: UnixMs) -> bool {
        let interval_ms = i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX);
        let due = |next: i64| (now.0 >= next).then(|| now.0.saturating_add(interval_ms));
        self.next_ms.fetch_update(Relaxed, Relaxed, due).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_once_in_its_interval() {
        let line = Seldom::new(Duration::from_secs(1));
        let due = [0, 1, 999, 1000, 1001, 5000].map(|ms| line.is_due(UnixMs(ms)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
