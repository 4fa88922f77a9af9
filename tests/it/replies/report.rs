//! How many replies were compared and how many differ, command by command, as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Counts of one command.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    compared: usize,
    excused: usize,
    differing: usize,
}

/// The counts of all commands, and the first differences of each.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: BTreeMap<String, Line>,
    differences: Vec<String>,
}

/// Differences shown of one command: the rest is mostly the same again.
const SHOWN_MAX: usize = 6;

impl Report {
    /// Counts a reply that agrees.
    pub(super) fn agrees(&mut self, command: &str) {
        self.line(command).compared += 1;
    }

    /// Counts a reply that differs for a reason that is known.
    pub(super) fn excused(&mut self, command: &str) {
        let line = self.line(command);
        line.compared += 1;
        line.excused += 1;
    }

    /// Counts a reply that differs.
    pub(super) fn differs(&mut self, command: &str, difference: String) {
        let line = self.line(command);
        line.compared += 1;
        line.differing += 1;
        if line.differing <= SHOWN_MAX {
            self.differences.push(difference);
        }
    }

    /// How often this command was compared.
    pub(super) fn compared(&self, command: &str) -> usize {
        self.lines.get(command).map_or(0, |line| line.compared)
    }

    /// Prints the table, and fails if anything differs.
    #[track_caller]
    pub(super) fn conclude(&self, title: &str) {
        let mut table =
            format!("{title}\n{:<28} {:>9} {:>9} {:>10}\n", "command", "compared", "excused", "differing");
        let mut sum = Line::default();
        for (command, line) in &self.lines {
            let _ =
                writeln!(table, "{command:<28} {:>9} {:>9} {:>10}", line.compared, line.excused, line.differing);
            sum.compared += line.compared;
            sum.excused += line.excused;
            sum.differing += line.differing;
        }
        let _ = writeln!(table, "{:<28} {:>9} {:>9} {:>10}", "all", sum.compared, sum.excused, sum.differing);
        eprintln!("{table}");
        assert!(sum.differing == 0, "{title}: {} replies differ:\n{}", sum.differing, self.differences.join("\n"));
    }

    fn line(&mut self, command: &str) -> &mut Line {
        self.lines.entry(command.to_owned()).or_default()
    }
}
