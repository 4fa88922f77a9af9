//! The setting `notify-keyspace-events`: which changes of keys are told, and on which channels.

use std::fmt;

/// A set of classes of events, and of the two forms in which they are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u16);

/// Letters in the order in which the servers print them; the first ten are `A` together.
const LETTERS: [(char, EventClasses); 14] = [
    ('g', EventClasses::GENERIC),
    ('$', EventClasses::STRING),
    ('l', EventClasses::LIST),
    ('s', EventClasses::SET),
    ('h', EventClasses::HASH),
    ('z', EventClasses::ZSET),
    ('x', EventClasses::EXPIRED),
    ('e', EventClasses::EVICTED),
    ('t', EventClasses::STREAM),
    ('d', EventClasses::MODULE),
    ('n', EventClasses::NEW),
    ('K', EventClasses::KEYSPACE),
    ('E', EventClasses::KEYEVENT),
    ('m', EventClasses::KEY_MISS),
];

impl EventClasses {
    /// `__keyspace@0__:key`, the message being the event.
    pub const KEYSPACE: Self = Self(1);
    /// `__keyevent@0__:event`, the message being the key.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// Commands about keys of any type.
    pub const GENERIC: Self = Self(1 << 2);
    pub const STRING: Self = Self(1 << 3);
    pub const LIST: Self = Self(1 << 4);
    pub const SET: Self = Self(1 << 5);
    pub const HASH: Self = Self(1 << 6);
    pub const ZSET: Self = Self(1 << 7);
    /// Never told by a replica: the master's DEL is.
    pub const EXPIRED: Self = Self(1 << 8);
    /// As `EXPIRED`.
    pub const EVICTED: Self = Self(1 << 9);
    pub const STREAM: Self = Self(1 << 10);
    /// Types of modules, which are not kept here.
    pub const MODULE: Self = Self(1 << 11);
    /// A key that was not there before.
    pub const NEW: Self = Self(1 << 12);
    /// A client asked for a key that is not there.
    pub const KEY_MISS: Self = Self(1 << 13);
    /// `A`: all classes but `n` and `m`.
    const ALL: Self = Self(0b1111_1111_1100);

    /// Is any of `classes` in it?
    pub fn has(self, classes: Self) -> bool {
        self.0 & classes.0 != 0
    }

    /// As a number, for a cell that threads share.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The set of this number.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// What is told: nothing, unless at least one of the two forms is wanted.
    pub fn told(self) -> Self {
        if self.has(Self(Self::KEYSPACE.0 | Self::KEYEVENT.0)) { self } else { Self(0) }
    }

    /// Reads letters in any order.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.chars().try_fold(Self(0), |set, letter| {
            let class = match letter {
                'A' => Some(Self::ALL),
                _ => LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, class)| *class),
            };
            let wrong = || "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned();
            class.map(|class| Self(set.0 | class.0)).ok_or_else(wrong)
        })
    }
}

impl fmt::Display for EventClasses {
    /// As CONFIG GET shows it. All classes are `A`, behind which the servers forget `n`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & Self::ALL.0 == Self::ALL.0;
        if all {
            f.write_str("A")?;
        }
        let hidden = |class: EventClasses| all && (Self::ALL.has(class) || class == Self::NEW);
        let shown = LETTERS.iter().filter(|(_, class)| self.has(*class) && !hidden(*class));
        shown.copied().try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_shown_as_by_the_servers() {
        for (text, shown) in [
            ("", ""),
            ("EKA", "AKE"),
            ("Kn$", "$nK"),
            ("AKEmn", "AKEm"),
            ("g$lshzxetd", "A"),
            ("KEm", "KEm"),
            ("Elg", "glE"),
        ] {
            assert_eq!(EventClasses::parse(text).map(|set| set.to_string()), Ok(shown.to_owned()), "{text}");
        }
        assert!(EventClasses::parse("xyz").is_err());
        assert_eq!(EventClasses::parse("gx").map(EventClasses::told), Ok(EventClasses::default()));
    }
}
