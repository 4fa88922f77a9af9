//! The full sync as people see it: a bar on a terminal, a log line each few seconds elsewhere.
//!
//! Comes in: the status, looked at some times a second. Goes out: text. The logger writes through [`Screen`], so that
//! lines and bar do not run into each other.

use crate::clock::UnixMs;
use crate::status::{LinkPhase, Restore, Status, SyncProgress};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How often the status is looked at while a bar is shown.
const LOOK: Duration = Duration::from_millis(200);
/// How often a line is logged where there is no terminal.
const LINE_EVERY_MS: i64 = 5_000;

/// Standard output and the bar beside it.
#[derive(Clone, Debug)]
pub struct Screen {
    bars: MultiProgress,
    terminal: bool,
}

impl Screen {
    /// The process' own: a bar is drawn on standard error if that is a terminal and `bar` is wanted.
    pub fn new(bar: bool) -> Self {
        let terminal = bar && io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), terminal }
    }
}

/// Writes lines above the bar.
impl Write for Screen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stdout().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Shows each full sync, until it is dropped.
pub async fn show(status: &Status, screen: &Screen) {
    let mut tick = tokio::time::interval(LOOK);
    let mut bar = None;
    let mut logged = UnixMs::now();
    loop {
        tick.tick().await;
        let (now, sync) = (UnixMs::now(), status.link.sync());
        let what = if status.saves.restore() == Restore::Loading { "loading remora.rdb" } else { "full sync" };
        if status.link.phase() != LinkPhase::Sync && status.saves.restore() != Restore::Loading {
            bar = None;
            logged = now;
        } else if screen.terminal {
            bar.get_or_insert_with(|| Bar::new(screen, what)).draw(Line { sync, now });
        } else if now.0 - logged.0 >= LINE_EVERY_MS {
            tracing::info!("{what}: {}", Line { sync, now });
            logged = now;
        }
    }
}

/// A bar where the master has told the snapshot's size, else a sign of life.
struct Bar {
    bar: ProgressBar,
    what: &'static str,
    sized: Option<bool>,
}

impl Bar {
    fn new(screen: &Screen, what: &'static str) -> Self {
        Self { bar: screen.bars.add(ProgressBar::new(0)), what, sized: None }
    }

    fn draw(&mut self, line: Line) {
        let sized = line.sync.total_bytes.is_some();
        if self.sized.replace(sized) != Some(sized) {
            let form = if sized { "{wide_bar} {msg}" } else { "{spinner} {msg}" };
            let style = ProgressStyle::with_template(&format!("{} {form}", self.what));
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        if let Some(total) = line.sync.total_bytes {
            self.bar.set_length(total);
            self.bar.set_position(line.sync.loaded_bytes.min(total));
        }
        self.bar.set_message(line.to_string());
        self.bar.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `12.0 MiB of 100.0 MiB (12%), 50000 keys, 25000 keys/s`
#[derive(Clone, Copy, Debug)]
struct Line {
    sync: SyncProgress,
    now: UnixMs,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sync, now } = self;
        write!(f, "{}", HumanBytes(sync.loaded_bytes))?;
        if let Some(total) = sync.total_bytes {
            let percent = sync.loaded_bytes.saturating_mul(100) / total.max(1);
            write!(f, " of {} ({}%)", HumanBytes(total), percent.min(100))?;
        }
        let elapsed_ms = sync.started.map_or(0, |at| (now.0 - at.0).max(0));
        let elapsed_ms = u64::try_from(elapsed_ms).unwrap_or(0).max(1);
        let rate = sync.keys.saturating_mul(1000) / elapsed_ms;
        write!(f, ", {} keys, {rate} keys/s", sync.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_bytes_percent_and_keys_per_second() {
        let sync = SyncProgress {
            total_bytes: Some(4 << 20),
            loaded_bytes: 1 << 20,
            keys: 5_000,
            started: Some(UnixMs(1_000)),
            ..SyncProgress::default()
        };
        let line = Line { sync, now: UnixMs(3_000) };
        assert_eq!(line.to_string(), "1.00 MiB of 4.00 MiB (25%), 5000 keys, 2500 keys/s");
        let unknown = Line { sync: SyncProgress { total_bytes: None, ..sync }, now: UnixMs(3_000) };
        assert_eq!(unknown.to_string(), "1.00 MiB, 5000 keys, 2500 keys/s");
    }
}
