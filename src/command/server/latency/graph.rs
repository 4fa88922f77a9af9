//! LATENCY GRAPH: the samples of an event as columns of characters, with their age below, as the servers draw them.

use crate::status::{LatencySample, LatencySeries};

/// Columns side by side; more samples are drawn below.
const COLUMNS: usize = 80;
/// Lines that the columns are high.
const ROWS: usize = 4;
/// The top of a column inside its line, low to high.
const TOPS: [char; 3] = ['_', 'o', '#'];
/// Heights that can be told apart.
const STEPS: u64 = (ROWS * TOPS.len()) as u64;

/// The drawing with its headline. `now_s`: seconds since 1970.
pub(super) fn drawn(event: &str, series: &LatencySeries, now_s: i64) -> String {
    let times = || series.samples.iter().map(|sample| sample.ms);
    let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let samples: Vec<LatencySample> = series.samples.iter().copied().collect();
    let parts: Vec<String> = samples.chunks(COLUMNS).map(|part| columns(part, low, high, now_s)).collect();
    let all_time = series.max_ms;
    let headline = format!("{event} - high {high} ms, low {low} ms (all time high {all_time} ms)");
    format!("{headline}\n{}\n{}", "-".repeat(COLUMNS), parts.join("\n"))
}

/// One chunk: the columns, an empty line, and the ages from top to bottom.
fn columns(samples: &[LatencySample], low: u64, high: u64, now_s: i64) -> String {
    let heights: Vec<usize> = samples.iter().map(|sample| height(sample.ms, low, high)).collect();
    let labels: Vec<String> = samples.iter().map(|sample| age(now_s - sample.at_s)).collect();
    let lines_of_labels = labels.iter().map(String::len).max().unwrap_or(0);
    let mut lines: Vec<String> =
        (0..ROWS).rev().map(|row| heights.iter().map(|at| part(*at, row)).collect()).collect();
    lines.push(" ".repeat(samples.len()));
    let letters =
        |at: usize| labels.iter().map(move |label| label.as_bytes().get(at).map_or(' ', |c| char::from(*c)));
    lines.extend((0..lines_of_labels).map(|at| letters(at).collect()));
    lines.join("\n") + "\n"
}

/// How high a column is, in steps from 0; the lowest sample is 0, the highest at the top.
fn height(ms: u64, low: u64, high: u64) -> usize {
    let steps = u128::from(ms - low) * u128::from(STEPS) / u128::from((high - low).max(1));
    steps.min(u128::from(STEPS) - 1) as usize
}

/// What of a column of this height is in a row; row 0 is the lowest.
fn part(height: usize, row: usize) -> char {
    match height.checked_sub(row * TOPS.len()) {
        None => ' ',
        Some(rest) => TOPS.get(rest).copied().unwrap_or('|'),
    }
}

/// How long ago: seconds, minutes, hours or days.
fn age(s: i64) -> String {
    match s {
        ..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..86_400 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_grow_by_three_marks_a_line() {
        let samples = [(0, 10), (86_400 * 2 - 3600 * 3, 16), (86_400 * 2 - 61, 21), (86_400 * 2 - 5, 22)];
        let samples = samples.map(|(at_s, ms)| LatencySample { at_s, ms }).into();
        let series = LatencySeries { samples, max_ms: 30, sum_ms: 0, count: 0 };
        let line = "-".repeat(80);
        let expected = format!(
            "command - high 22 ms, low 10 ms (all time high 30 ms)\n{line}\n  ##\n _||\n |||\n_|||\n    \n2315\ndhms\n"
        );
        assert_eq!(drawn("command", &series, 86_400 * 2), expected);
    }

    #[test]
    fn more_than_a_line_of_samples_is_drawn_below() {
        let samples: Vec<_> = (0..81).map(|at_s| LatencySample { at_s, ms: 5 }).collect();
        let series = LatencySeries { samples: samples.into(), max_ms: 5, sum_ms: 0, count: 0 };
        let drawing = drawn("command", &series, 85);
        let lines: Vec<&str> = drawing.lines().skip(2).collect();
        assert_eq!((lines[3], lines[4].len()), ("_".repeat(80).as_str(), 80));
        assert!(lines[5].starts_with("111111111"), "{drawing}");
        assert_eq!(lines[lines.len() - 6..], [" ", " ", "_", " ", "5", "s"], "{drawing}");
    }
}
