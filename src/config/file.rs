//! The configuration file: redis.conf's syntax, line by line, with what it includes.

use super::foreign::{self, Foreign};
use super::table::Setting;
use super::{Config, ConfigError, Source, UserLine, include, value};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// Files that include each other are seen at this depth.
const INCLUDES_MAX: usize = 16;

/// Reads a file into `config`; answers a warning for each directive that only concerns other servers. `-` is
/// standard input.
pub(super) fn load(path: &Path, config: &mut Config) -> Result<Vec<String>, ConfigError> {
    let mut reading = Reading { config, warnings: BTreeSet::new(), depth: 0 };
    if path.as_os_str() == "-" {
        let mut text = Vec::new();
        let read = std::io::stdin().read_to_end(&mut text);
        read.map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
        reading.text(path, &text)?;
    } else {
        reading.file(path)?;
    }
    Ok(reading.warnings.into_iter().collect())
}

/// What a line is, if it is well formed.
enum Line {
    Done,
    /// Files by this pattern are to be read here.
    Include(Vec<u8>),
}

/// The reading of a file and of what it includes.
struct Reading<'a> {
    config: &'a mut Config,
    warnings: BTreeSet<String>,
    depth: usize,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
        self.text(path, &text)
    }

    fn text(&mut self, path: &Path, text: &[u8]) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&c| c == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let at_line = |(name, why)| {
                let source = Source::File { path: path.to_owned(), line: index + 1 };
                ConfigError::Setting { name, source, why }
            };
            if let Line::Include(pattern) = self.line(path, line).map_err(at_line)? {
                self.include(&pattern, at_line)?;
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        pattern: &[u8],
        at_line: impl Fn((String, String)) -> ConfigError,
    ) -> Result<(), ConfigError> {
        let refused = |why: String| at_line(("include".into(), why));
        if self.depth == INCLUDES_MAX {
            return Err(refused(format!("more than {INCLUDES_MAX} files deep: they include each other")));
        }
        self.depth += 1;
        for path in
            include::files(pattern).map_err(|(path, error)| refused(format!("{}: {error}", path.display())))?
        {
            self.file(&path)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// The error is the setting's name and the complaint.
    fn line(&mut self, path: &Path, line: &[u8]) -> Result<Line, (String, String)> {
        let Some(words) = value::split_words(line) else {
            let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            return Err((text(name), "unbalanced quotes in configuration line".into()));
        };
        let Some((name, words)) = words.split_first() else { return Ok(Line::Done) };
        let name = text(name).to_ascii_lowercase();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match (name.as_str(), words.as_slice()) {
            ("user", words) => return self.user(words).map(|()| Line::Done).map_err(|why| (name, why)),
            ("include", [pattern]) => return Ok(Line::Include(pattern.to_vec())),
            ("include", _) => return Err((name, "wrong number of arguments".into())),
            _ => {}
        }
        if let Some(setting) = Setting::find(&name) {
            match foreign::passed_over(setting.name, &words) {
                Some(why) => self.warn(path, &format!("{name}: {why}; ignored")),
                None => setting.read(self.config, &words).map_err(|why| (name, why))?,
            }
            return Ok(Line::Done);
        }
        match foreign::judge(&name, &words) {
            Foreign::AsItIs => Ok(Line::Done),
            Foreign::Ignored => {
                self.warn(path, &format!("{name} does not concern a replica of this kind; ignored"));
                Ok(Line::Done)
            }
            Foreign::Refused(why) => Err((name, why.into())),
            Foreign::Unknown => Err((name, "unknown setting".into())),
        }
    }

    fn user(&mut self, words: &[&[u8]]) -> Result<(), String> {
        if words.is_empty() {
            return Err("a name is missing".into());
        }
        if self.config.users.iter().any(|line| line.words().next() == words.first().copied()) {
            return Err("Duplicate user found. A user can only be defined once in config files".into());
        }
        self.config.users.push(UserLine::new(words));
        Ok(())
    }

    fn warn(&mut self, path: &Path, warning: &str) {
        self.warnings.insert(format!("{}: {warning}", path.display()));
    }
}

/// Reads a text as if it stood in this file.
#[cfg(test)]
pub(super) fn apply(path: &Path, text: &[u8], config: &mut Config) -> Result<Vec<String>, ConfigError> {
    let mut reading = Reading { config, warnings: BTreeSet::new(), depth: 0 };
    reading.text(path, text)?;
    Ok(reading.warnings.into_iter().collect())
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
             save 3600 1\nsave 300 100\nappendonly yes\n",
        )
        .expect("well formed");
        assert_eq!(config.port, 6380);
        assert!(config.requirepass.is_some_and(|pass| pass.matches(b"a b!")));
        assert_eq!(config.replicaof.map(|m| m.to_string()).as_deref(), Some("10.0.0.5 6379"));
        assert_eq!(config.bind.len(), 2);
        assert_eq!((config.output_limits.normal.hard_bytes, config.output_limits.pubsub.hard_bytes), (1 << 20, 0));
        let named: Vec<&str> = warnings.iter().map(|w| w.split(' ').nth(1).unwrap_or_default()).collect();
        assert_eq!(named, ["appendonly", "save"], "each is told once");
    }

    #[test]
    fn a_priority_of_a_real_server_is_passed_over() {
        let (config, warnings) =
            read("slave-priority 100\nreplica-priority 0\n").expect("as real servers ship it");
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
        check("include a b", "remora.conf:1: include: wrong number of arguments");
        check(
            "rename-command CONFIG \"\"",
            "remora.conf:1: rename-command: not supported; take commands away with ACL rules, such as `user default ... \
             -config`",
        );
        check(
            "tls-ciphers DEFAULT:!MEDIUM",
            "remora.conf:1: tls-ciphers: ciphers cannot be chosen; those that are safe are offered, and tls-protocols \
             can be narrowed",
        );
    }

    #[test]
    fn files_are_included_in_their_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, text).expect("writing");
            path
        };
        let here = folder.path().display();
        write("pre.d/20.conf", "timeout 20\nsave 1 1\n");
        write("pre.d/10.conf", "timeout 10\nmaxclients 10\n");
        write("pre.d/.hidden.conf", "maxclients 11\n");
        write("pre.d/other.txt", "maxclients 12\n");
        write("one.conf", "port 7\nport 8\n");
        let text = format!(
            "timeout 1\ninclude {here}/pre.d/*.conf\ninclude {here}/none.d/*.conf\ninclude {here}/one.conf"
        );
        let mut config = Config::default();
        let warnings = load(&write("main.conf", &text), &mut config).expect("well formed");
        assert_eq!((config.timeout_s, config.maxclients, config.port), (20, 10, 8));
        assert_eq!(
            warnings,
            [format!("{here}/pre.d/20.conf: save does not concern a replica of this kind; ignored")]
        );

        let fails = |text: &str, expected: &str| {
            let error = load(&write("main.conf", text), &mut Config::default()).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        };
        write("bad.conf", "\nport x\n");
        fails(&format!("include {here}/bad.conf"), "bad.conf:2: port: argument");
        fails(&format!("include {here}/missing.conf"), "missing.conf: No such file");
        fails(&format!("include {here}/main.conf"), "include: more than 16 files deep");
    }
}
