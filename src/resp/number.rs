//! Doubles in the spelling of the master's dialect. The digits come from `crate::number`.

pub use crate::number::{parse_float, parse_integer};

/// Which servers' spelling of doubles is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DoubleStyle {
    /// C's `%.17g`: Redis 6 and 7.
    Percent17g,
    /// Grisu2 digits, whole numbers as integers: Redis 8, Valkey 8 and later.
    #[default]
    Shortest,
}

/// Scratch space for one printed double.
#[derive(Debug, Default)]
pub struct DoubleText {
    text: crate::number::DoubleText,
}

impl DoubleText {
    /// Prints `value` without allocating; the result lives as long as the scratch space.
    pub fn format(&mut self, value: f64, style: DoubleStyle) -> &[u8] {
        self.text = match style {
            DoubleStyle::Percent17g => crate::number::DoubleText::percent_17g(value),
            DoubleStyle::Shortest => crate::number::DoubleText::shortest_reply(value),
        };
        self.text.as_bytes()
    }
}
