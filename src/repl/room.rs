//! Whether memory has room for two datasets while a snapshot loads, or the old one has to go first: decided from
//! figures, without I/O.

use crate::config::DisklessLoad;
use std::fmt;

/// Of the limit, this share stays free in the reckoning: buffers, what grows meanwhile, the allocator's slack.
const SPARE_SHARE: u64 = 10;
/// What a snapshot's bytes take in memory, where the master does not say what they take there: strings are LZF, numbers
/// are packed, keys have their blocks.
const SNAPSHOT_GROWS: u64 = 3;

/// What the decision rests on; all in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What the process holds now, the old dataset included.
    pub used: u64,
    /// The master's memory, by the snapshot's AUX field `used-mem`.
    pub master_used: Option<u64>,
    /// The snapshot's length, where it is known.
    pub snapshot: Option<u64>,
    /// What the process may hold, where that is bounded.
    pub limit: Option<u64>,
}

/// Where a snapshot is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Beside the old data, which answer until it is complete.
    Beside,
    /// In place of the old data, which are dropped first: reads answer LOADING.
    Instead,
}

impl Figures {
    /// What the new dataset will take, by the best figure there is: the master's memory, else the snapshot's length, else
    /// as much as the old one.
    fn incoming(&self) -> u64 {
        let by_length = self.snapshot.map(|bytes| bytes.saturating_mul(SNAPSHOT_GROWS));
        self.master_used.or(by_length).unwrap_or(self.used)
    }

    /// Decides as the setting says; `auto` takes the old data away only if both would not fit.
    pub fn decide(&self, setting: DisklessLoad) -> Room {
        match setting {
            DisklessLoad::Swap => Room::Beside,
            DisklessLoad::Flush => Room::Instead,
            DisklessLoad::Auto => {
                let spared = self.limit.map(|limit| limit - limit / SPARE_SHARE);
                let both = self.used.saturating_add(self.incoming());
                if spared.is_some_and(|limit| both > limit) { Room::Instead } else { Room::Beside }
            }
        }
    }
}

/// For the log.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(f, "{:.1} MiB in use, about {:.1} MiB to come", mib(self.used), mib(self.incoming()))?;
        match self.limit {
            Some(limit) => write!(f, ", {:.1} MiB allowed", mib(limit)),
            None => f.write_str(", no limit known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_keeps_the_old_data_if_both_fit() {
        let check = |used, master_used, snapshot, limit, expected| {
            let figures = Figures { used, master_used, snapshot, limit };
            assert_eq!(figures.decide(DisklessLoad::Auto), expected, "{figures:?}");
            assert_eq!(figures.decide(DisklessLoad::Swap), Room::Beside);
            assert_eq!(figures.decide(DisklessLoad::Flush), Room::Instead);
        };
        check(500, Some(400), None, Some(1000), Room::Beside);
        check(500, Some(401), None, Some(1000), Room::Instead);
        // Better figures go before worse ones.
        check(500, Some(100), Some(1000), Some(1000), Room::Beside);
        check(500, None, Some(100), Some(1000), Room::Beside);
        check(500, None, Some(134), Some(1000), Room::Instead);
        check(400, None, None, Some(1000), Room::Beside);
        check(500, None, None, Some(1000), Room::Instead);
        check(500, Some(u64::MAX), None, None, Room::Beside);
        check(u64::MAX, Some(u64::MAX), None, Some(u64::MAX), Room::Instead);
    }

    #[test]
    fn the_figures_are_told() {
        let figures =
            Figures { used: 100 << 20, master_used: Some(50 << 20), snapshot: None, limit: Some(1 << 30) };
        let expected = "100.0 MiB in use, about 50.0 MiB to come, 1024.0 MiB allowed";
        assert_eq!(figures.to_string(), expected);
        assert!(Figures::default().to_string().ends_with("no limit known"));
    }
}
