//! The configuration file: redis.conf's syntax, line by line.

use super::foreign::{self, Foreign};
use super::table::Setting;
use super::{Config, ConfigError, Source, UserLine, value};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// Reads a file into `config`; answers a warning for each directive that only concerns other servers. `-` is
/// standard input.
pub(super) fn load(path: &Path, config: &mut Config) -> Result<Vec<String>, ConfigError> {
    let error = |error| ConfigError::File { path: path.to_owned(), error };
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut text).map_err(error)?;
    } else {
        text = std::fs::read(path).map_err(error)?;
    }
    apply(path, &text, config)
}

fn apply(path: &Path, text: &[u8], config: &mut Config) -> Result<Vec<String>, ConfigError> {
    let mut warnings = BTreeSet::new();
    for (index, line) in text.split(|&c| c == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        apply_line(line, config, &mut warnings).map_err(|(name, why)| ConfigError::Setting {
            name,
            source: Source::File { path: path.to_owned(), line: index + 1 },
            why,
        })?;
    }
    Ok(warnings.into_iter().map(|warning| format!("{}: {warning}", path.display())).collect())
}

/// The error is the setting's name and the complaint.
fn apply_line(line: &[u8], config: &mut Config, warnings: &mut BTreeSet<String>) -> Result<(), (String, String)> {
    let Some(words) = value::split_words(line) else {
        let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        return Err((text(name), "unbalanced quotes in configuration line".into()));
    };
    let Some((name, words)) = words.split_first() else { return Ok(()) };
    let name = text(name).to_ascii_lowercase();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    if name == "user" {
        if words.is_empty() {
            return Err((name, "a name is missing".into()));
        }
        if config.users.iter().any(|line| line.words().next() == words.first().copied()) {
            return Err((name, "Duplicate user found. A user can only be defined once in config files".into()));
        }
        config.users.push(UserLine::new(&words));
        return Ok(());
    }
    if let Some(setting) = Setting::find(&name) {
        if let Some(why) = foreign::passed_over(setting.name, &words) {
            warnings.insert(format!("{name}: {why}; ignored"));
            return Ok(());
        }
        return setting.read(config, &words).map_err(|why| (name, why));
    }
    match foreign::judge(&name, &words) {
        Foreign::Ignored => {
            warnings.insert(format!("{name} does not concern a replica of this kind; ignored"));
            Ok(())
        }
        Foreign::Refused(why) => Err((name, why.into())),
        Foreign::Unknown => Err((name, "unknown setting".into())),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Config, Vec<String>), String> {
        let mut config = Config::default();
        let warnings = apply(Path::new("remora.conf"), text.as_bytes(), &mut config).map_err(|e| e.to_string())?;
        Ok((config, warnings))
    }

    #[test]
    fn a_file_as_the_real_servers_read_it() {
        let (config, warnings) = read(
            "# a comment\r\nPORT 6380\r\n\n  requirepass \"a b\\x21\"\nslaveof 10.0.0.5 6379\nbind * -::*\n\
             client-output-buffer-limit normal 1mb 0 0\nclient-output-buffer-limit pubsub 0 0 0\n\
             save 3600 1\nsave 300 100\nappendonly yes\nrename-command KEYS \"\"\n",
        )
        .expect("well formed");
        assert_eq!(config.port, 6380);
        assert!(config.requirepass.is_some_and(|pass| pass.matches(b"a b!")));
        assert_eq!(config.replicaof.map(|m| m.to_string()).as_deref(), Some("10.0.0.5 6379"));
        assert_eq!(config.bind.len(), 2);
        assert_eq!((config.output_limits.normal.hard_bytes, config.output_limits.pubsub.hard_bytes), (1 << 20, 0));
        let named: Vec<&str> = warnings.iter().map(|w| w.split(' ').nth(1).unwrap_or_default()).collect();
        assert_eq!(named, ["appendonly", "rename-command", "save"], "each is told once");
    }

    #[test]
    fn a_priority_of_a_real_server_is_passed_over() {
        let (config, warnings) = read("slave-priority 100\nreplica-priority 0\n").expect("as real servers ship it");
        assert_eq!(config, Config::default());
        let why = "remora.conf: slave-priority: remora is never promoted, so Sentinel reads 0; ignored";
        assert_eq!(warnings, [why]);
    }

    #[test]
    fn errors_name_line_and_setting_but_no_secret() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).expect_err(text), expected);
        check("\nport x", "remora.conf:2: port: argument couldn't be parsed into an integer");
        check("prot 1", "remora.conf:1: prot: unknown setting");
        check("requirepass hunter2 hunter3", "remora.conf:1: requirepass: wrong number of arguments");
        check("port \"1", "remora.conf:1: port: unbalanced quotes in configuration line");
        check("user", "remora.conf:1: user: a name is missing");
        check(
            "user a >hunter2\nuser a",
            "remora.conf:2: user: Duplicate user found. A user can only be defined once in config files",
        );
        check(
            "replica-priority -1",
            "remora.conf:1: replica-priority: argument must be between 0 and 2147483647 inclusive",
        );
        check("include /etc/other.conf", "remora.conf:1: include: not supported; give one whole file");
    }
}
