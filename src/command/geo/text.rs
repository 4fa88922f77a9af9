//! Distances and coordinates as text.

use crate::dataset::Dialect;

/// A distance with four decimals. Since 7.2 it is rounded as an integer of ten-thousandths, before by `printf`: the
/// results differ where the multiplication makes a tie.
pub(super) fn distance_text(distance: f64, dialect: Dialect) -> String {
    const TEN_THOUSANDTHS_MAX: f64 = 9e15;
    let scaled = (distance * 10_000.0).round_ties_even();
    if !dialect.prints_shortest_doubles() || scaled.abs() > TEN_THOUSANDTHS_MAX {
        return format!("{distance:.4}");
    }
    let scaled = scaled as i64;
    format!("{}.{:04}", scaled / 10_000, scaled % 10_000)
}

/// A coordinate with up to 17 decimals, zeros at the end cut.
pub(super) fn human_text(degrees: f64) -> String {
    let text = format!("{degrees:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_four_decimals() {
        for (distance, expected) in [
            (0.0, "0.0000"),
            (166_274.151_561, "166274.1516"),
            (0.000_05, "0.0000"),
            (12.0, "12.0000"),
            (1e12, "1000000000000.0000"),
        ] {
            assert_eq!(distance_text(distance, Dialect::Redis(8, 0)), expected);
        }
        assert_eq!(distance_text(166_274.151_561, Dialect::Redis(6, 0)), "166274.1516");
    }

    #[test]
    fn coordinates_have_no_zeros_at_the_end() {
        for (degrees, expected) in [
            (13.361_389_338_970_184, "13.36138933897018433"),
            (-84.999_999_652_134_39, "-84.99999965213439168"),
            (2.682_209_014_892_578e-6, "0.00000268220901489"),
            (10.5, "10.5"),
            (-180.0, "-180"),
            (-0.0, "0"),
        ] {
            assert_eq!(human_text(degrees), expected);
        }
    }
}
