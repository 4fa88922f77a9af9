//! Commands of the stream that not all servers know.
//!
//! A real replica that does not know a command passes it over and goes on with other data than its master's, with its
//! link up. So one that may be too old must not get there: it is cut before, and told why.

use crate::dataset::{Dialect, Since};
use crate::position::Offset;
use parking_lot::Mutex;

/// The young commands of the present history, each with where it stood last. Written by the link inside the gate, before
/// their bytes can be taken; read by the feeder. Bounded by the number of such rows.
#[derive(Debug, Default)]
pub struct YoungCommands(Mutex<Vec<(&'static str, Since, Offset)>>);

impl YoungCommands {
    /// There was one, up to this offset.
    pub fn note(&self, name: &'static str, since: Since, offset: Offset) {
        let mut all = self.0.lock();
        match all.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., last)) => *last = offset,
            None => all.push((name, since, offset)),
        }
    }

    /// Another history begins.
    pub fn forget(&self) {
        self.0.lock().clear();
    }

    /// One behind this offset that a server of this release does not know.
    pub fn unknown_to(&self, dialect: Dialect, behind: Offset) -> Option<&'static str> {
        let all = self.0.lock();
        all.iter().find(|(_, since, last)| *last > behind && !since.includes(dialect)).map(|(name, ..)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_too_old_for_what_comes_is_found() {
        let young = YoungCommands::default();
        let hsetex = Since { redis: Some((8, 0)), valkey: Some((9, 0)) };
        young.note("hsetex", hsetex, Offset(10));
        young.note("vadd", Since { redis: Some((8, 0)), valkey: None }, Offset(20));
        young.note("hsetex", hsetex, Offset(30));
        let check = |dialect, behind, expected| {
            assert_eq!(young.unknown_to(dialect, Offset(behind)), expected, "{dialect:?} {behind}");
        };
        check(Dialect::Redis(7, 4), 0, Some("hsetex"));
        check(Dialect::Redis(7, 4), 30, None);
        check(Dialect::Redis(8, 0), 0, None);
        check(Dialect::Valkey(8, 1), 29, Some("hsetex"));
        check(Dialect::Valkey(9, 1), 19, Some("vadd"));
        check(Dialect::Valkey(9, 1), 20, None);
        young.forget();
        check(Dialect::Redis(6, 0), 0, None);
    }
}
