//! The file of the last run in place of nothing, before the first connection: the rest of the stream is then enough.

use super::Link;
use crate::disk::{self, RestoreError, Restoring};
use crate::rdb::load::Loaded;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often others are told how far the load is.
const REPORT: Duration = Duration::from_millis(200);

impl Link {
    /// Loads our own snapshot if `dir` has one. One that cannot be used is told and left alone: then all is asked for.
    pub(super) async fn restore(&mut self) {
        let config = self.config.get();
        let Some(dir) = &config.dir else { return };
        match disk::restore(dir, &config) {
            Ok(None) => tracing::info!(file = %disk::path(dir).display(), "no snapshot of our own to start from"),
            Ok(Some(restoring)) => self.wait_for_restore(restoring).await,
            Err(error) => self.report.restore_refused(&disk::path(dir), &RestoreError::Io(error)),
        }
    }

    async fn wait_for_restore(&mut self, mut restoring: Restoring) {
        self.report.restore_begins(&restoring.path, restoring.bytes);
        let mut tick = interval(REPORT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let progress = restoring.progress.clone();
        let result = loop {
            tokio::select! {
                result = restoring.result() => break result,
                _ = tick.tick() => self.report.loading(&progress),
            }
        };
        self.report.loading(&progress);
        match result {
            Ok(loaded) => self.put_restored_in_place(loaded, &restoring),
            Err(error) => self.report.restore_refused(&restoring.path, &error),
        }
    }

    fn put_restored_in_place(&mut self, loaded: Loaded, restoring: &Restoring) {
        let mut dataset = loaded.dataset;
        dataset.grow_to(dataset.position.selected);
        let (position, marked) = (dataset.position, dataset.marked_keys());
        let old = self.install(dataset);
        self.reaper.dataset(old);
        self.loaded = true;
        let (path, keys) = (restoring.path.display(), loaded.facts.keys);
        tracing::info!(file = %path, keys, marked, offset = %position.offset, "our own snapshot is in place");
        self.report.restored(&position, marked);
    }
}
