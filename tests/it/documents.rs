//! The documents against the program: names in README, ARCHITECTURE and `deploy` exist, and nothing is left out.

use remora::config::{Config, SETTINGS, Setting};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn files_of(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).expect("a folder");
    entries.map(|entry| format!("{folder}/{}", entry.expect("an entry").file_name().display())).collect()
}

/// Words that look like a metric of ours or a field of INFO.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("remora_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// Names in a source that stand alone between quotes.
fn quoted(source: &str) -> BTreeSet<String> {
    source.split('"').filter(|piece| names(piece).contains(*piece)).map(str::to_owned).collect()
}

fn metrics() -> BTreeSet<String> {
    quoted(&read("src/metrics.rs"))
}

/// The name of the histogram that a series like `x_bucket` belongs to; other names as they are.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_exist() {
    let metrics = metrics();
    for file in files_of("deploy") {
        for name in names(&read(&file)) {
            assert!(metrics.contains(&name) || metrics.contains(family(&name)), "{file}: there is no {name}");
        }
    }
}

#[test]
fn the_readme_names_all_metrics_and_only_names_that_exist() {
    let (readme, metrics) = (names(&read("README.md")), metrics());
    assert!(metrics.len() > 30, "found in the source: {metrics:?}");
    for name in &metrics {
        assert!(readme.contains(name), "README.md lacks {name}");
    }
    let fields: BTreeSet<String> =
        files_of("src/command/server/info").iter().flat_map(|file| quoted(&read(file))).collect();
    for name in &readme {
        let known = metrics.contains(name) || fields.contains(name);
        assert!(known, "README.md names {name}, which is neither a metric nor a field of INFO");
    }
}

/// The row of a setting in README's table.
fn row(setting: &Setting) -> String {
    let names: Vec<String> = setting.names().map(|name| format!("`{name}`")).collect();
    let default = match (setting.name, setting.show(&Config::default())) {
        ("io-threads", _) => "cores".to_owned(),
        (_, shown) if shown.is_empty() => String::new(),
        (_, shown) => format!("`{}`", String::from_utf8_lossy(&shown)),
    };
    let live = if setting.live { "yes" } else { "" };
    format!("| {} | {default} | {live} | {} |", names.join(", "), setting.help.replace('|', "\\|"))
}

#[test]
fn every_setting_has_its_row_in_the_readme() {
    let readme = read("README.md");
    let lines: BTreeSet<&str> = readme.lines().collect();
    let rows: Vec<String> = SETTINGS.iter().map(row).collect();
    let missing: Vec<&str> = rows.iter().map(String::as_str).filter(|row| !lines.contains(row)).collect();
    assert!(missing.is_empty(), "README.md lacks these rows:\n{}", missing.join("\n"));
}

#[test]
fn every_module_has_its_line_in_the_architecture() {
    let (lib, architecture) = (read("src/lib.rs"), read("ARCHITECTURE.md"));
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(architecture.contains(&format!("| `{module}` |")), "ARCHITECTURE.md lacks a line for {module}");
    }
}
