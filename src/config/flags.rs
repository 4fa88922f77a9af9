//! The command line and the environment: what the program is asked to do, and the settings from all sources.
//! A flag wins over a variable, a variable over the file, the file over the default.

use super::table::{SETTINGS, Setting};
use super::{Config, ConfigError, Master, Source, file};
use clap::builder::StyledStr;
use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the program is asked to do.
#[derive(Debug)]
pub enum Action {
    /// Follow a master and serve.
    Run(Box<Startup>),
    /// `remora demo`, on this port or on a free one.
    Demo { port: Option<u16> },
    /// `--commands`: list the commands.
    ListCommands,
    /// `--help` and `--version`: print this.
    Print(StyledStr),
}

/// Checked settings, with the master that is there for sure.
#[derive(Clone, Debug)]
pub struct Startup {
    /// All settings.
    pub config: Config,
    /// The master to follow first.
    pub master: Master,
    /// What to log once logging is up.
    pub warnings: Vec<String>,
}

/// Reads arguments (the program's name included) and environment.
pub fn from_process(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Action, ConfigError> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Action::Print(e.render()));
        }
        Err(e) => {
            return Err(ConfigError::Usage(e.to_string().trim_start_matches("error: ").trim_end().to_owned()));
        }
    };
    if let Some(("demo", demo)) = matches.subcommand() {
        return Ok(Action::Demo { port: demo.get_one("port").copied() });
    }
    if matches.get_flag("commands") {
        return Ok(Action::ListCommands);
    }
    let mut config = Config::default();
    let mut warnings = Vec::new();
    if let Some(path) = matches.get_one::<PathBuf>("file") {
        warnings = file::load(path, &mut config)?;
        // Absolute, since `dir` is gone to; standard input cannot be written.
        config.config_file = std::fs::canonicalize(path).ok().filter(|path| path.is_file());
    }
    read_environment(environment, &mut config, &mut warnings)?;
    read_flags(&matches, &mut config)?;
    let unnamed = config.sentinel.as_ref().map(|_| Master::unknown());
    let master = config.replicaof.clone().or(unnamed).ok_or(ConfigError::NoMaster)?;
    if config.is_own(&master.address) {
        let why =
            format!("{master} is where remora itself is to listen: give it another port, such as --port 6380");
        return Err(ConfigError::Unusable { name: "replicaof", why });
    }
    Ok(Action::Run(Box::new(Startup { config, master, warnings })))
}

fn command() -> Command {
    let defaults = Config::default();
    let settings = SETTINGS.iter().map(|setting| {
        Arg::new(setting.name)
            .long(setting.name)
            .visible_aliases(setting.aliases.iter().copied())
            .value_name(setting.shape)
            .help(help(setting, &defaults))
            .value_parser(clap::value_parser!(OsString))
            .num_args(if setting.words { 1..=64 } else { 1..=1 })
            .action(ArgAction::Append)
            .allow_negative_numbers(true)
    });
    Command::new("remora")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(
            "Each setting can also stand in the file, in redis.conf's syntax, and in the environment: --repl-timeout \
             is REMORA_REPL_TIMEOUT. A flag wins over the environment, the environment over the file. Passwords can \
             be read from a file: REMORA_MASTERAUTH_FILE, REMORA_REQUIREPASS_FILE.",
        )
        .args_conflicts_with_subcommands(true)
        .arg(
            Arg::new("file")
                .value_name("CONFIG-FILE")
                .help("Settings in redis.conf's syntax; - is standard input")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .args(settings)
        .arg(
            Arg::new("commands")
                .long("commands")
                .action(ArgAction::SetTrue)
                .help("List the commands that are known, and how"),
        )
        .subcommand(
            Command::new("demo")
                .about("Show it at work: starts a redis-server with data and a writer, and follows it")
                .arg(
                    Arg::new("port")
                        .long("port")
                        .value_name("PORT")
                        .help("TCP port for clients; a free one if not set")
                        .value_parser(clap::value_parser!(u16)),
                ),
        )
}

fn help(setting: &Setting, defaults: &Config) -> String {
    let default = String::from_utf8_lossy(&setting.show(defaults)).into_owned();
    if default.is_empty() || setting.name == "io-threads" {
        return setting.help.to_owned();
    }
    format!("{} [default: {default}]", setting.help)
}

fn read_flags(matches: &ArgMatches, config: &mut Config) -> Result<(), ConfigError> {
    for setting in SETTINGS {
        for values in matches.get_occurrences::<OsString>(setting.name).into_iter().flatten() {
            let words: Vec<&[u8]> = values.map(|value| value.as_bytes()).collect();
            let read = match words.as_slice() {
                [text] => setting.read_text(config, text),
                words => setting.read(config, words),
            };
            read.map_err(|why| ConfigError::Setting { name: setting.name.into(), source: Source::Flag, why })?;
        }
    }
    Ok(())
}

const PREFIX: &str = "REMORA_";

fn read_environment(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    config: &mut Config,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    for (variable, value) in environment {
        let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(PREFIX)) else { continue };
        let variable = format!("{PREFIX}{name}");
        if is_service_link(name, &value) {
            warnings.push(format!("{variable}: looks like a Kubernetes service link; ignored"));
            continue;
        }
        let setting_name = name.to_ascii_lowercase().replace('_', "-");
        let read =
            match (Setting::find(&setting_name), setting_name.strip_suffix("-file").and_then(Setting::find)) {
                (Some(setting), _) => setting.read_text(config, value.as_bytes()),
                (None, Some(setting)) if setting.secret => secret_from_file(Path::new(&value))
                    .and_then(|secret| setting.read(config, &[secret.as_slice()])),
                _ => Err("unknown setting".into()),
            };
        read.map_err(|why| ConfigError::Setting {
            name: setting_name,
            source: Source::Environment(variable),
            why,
        })?;
    }
    Ok(())
}

fn secret_from_file(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes.trim_ascii_end().to_vec())
}

/// Kubernetes gives each pod variables for each Service of its namespace. A Service named `remora` brings
/// `REMORA_PORT=tcp://10.0.0.1:6379` and `REMORA_SERVICE_HOST`, which are no settings.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let url = [b"tcp://".as_slice(), b"udp://", b"sctp://"].iter().any(|p| value.as_bytes().starts_with(p));
    let service = name.ends_with("SERVICE_HOST") || name.contains("SERVICE_PORT");
    let part = ["_TCP", "_UDP", "_SCTP"].iter().any(|proto| name.contains(proto)) && name.contains("PORT_");
    service || part || (name.ends_with("PORT") && url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn ask(args: &[&str], environment: &[(&str, &str)]) -> Result<Action, String> {
        let args = std::iter::once("remora").chain(args.iter().copied()).map(OsString::from);
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        from_process(args, environment).map_err(|error| error.to_string())
    }

    fn startup(args: &[&str], environment: &[(&str, &str)]) -> Startup {
        match ask(args, environment) {
            Ok(Action::Run(startup)) => *startup,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn flag_wins_over_environment_over_file_over_default() {
        let file = file("replicaof a 1\nport 1\ntimeout 1\nmaxclients 1\n");
        let path = file.path().to_str().expect("UTF-8");
        let found = startup(&[path, "--port", "3"], &[("REMORA_PORT", "2"), ("REMORA_TIMEOUT", "2")]);
        let config = &found.config;
        assert_eq!((config.port, config.timeout_s, config.maxclients, config.databases), (3, 2, 1, 16));
        assert_eq!(found.master, Master::tcp("a", 1));
    }

    #[test]
    fn a_master_can_be_given_in_two_words_or_one() {
        for args in [
            &["--replicaof", "h", "7"][..],
            &["--replicaof", "h 7"],
            &["--slaveof=h:7"],
            &["--replicaof", "redis://h:7"],
        ] {
            assert_eq!(startup(args, &[]).master, Master::tcp("h", 7), "{args:?}");
        }
        let list = startup(&["--replicaof", "h 7", "--list-max-listpack-size", "-1", "--bind", "* -::*"], &[]);
        assert_eq!((list.config.encodings.list_size, list.config.bind.len()), (-1, 2));
    }

    #[test]
    fn errors_name_the_setting_and_no_secret() {
        let check = |args: &[&str], environment: &[(&str, &str)], expected: &str| {
            let error = ask(args, environment).expect_err("malformed");
            assert!(error.contains(expected), "{args:?} {environment:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check(&["--port", "x"], &[], "--port: argument couldn't be parsed into an integer");
        check(&["--prot", "1"], &[], "--prot");
        check(&["--port"], &[], "--port");
        check(&["--masterauht", "hunter2"], &[], "--masterauht");
        check(&[], &[("REMORA_PORT", "x")], "REMORA_PORT: argument couldn't be parsed");
        check(&[], &[("REMORA_MASTERAUHT", "hunter2")], "REMORA_MASTERAUHT: unknown setting");
        check(&[], &[("REMORA_REPLICAOF", "redis://u:hunter2@h:x")], "REMORA_REPLICAOF: Invalid master port");
        check(&[], &[], "replicaof");
        check(&["--replicaof", "127.0.0.1:6379"], &[], "replicaof: 127.0.0.1 6379 is where remora itself is to");
        check(&["/nonexistent/remora.conf"], &[], "/nonexistent/remora.conf: ");
    }

    #[test]
    fn secrets_come_from_files_too() {
        let file = file("hunter2\n");
        let path = file.path().to_str().expect("UTF-8");
        let found = startup(&["--replicaof", "h:1"], &[("REMORA_MASTERAUTH_FILE", path)]);
        assert!(found.config.masterauth.is_some_and(|secret| secret.matches(b"hunter2")));
        assert!(ask(&["--replicaof", "h:1"], &[("REMORA_PORT_FILE", path)]).is_err());
    }

    #[test]
    fn what_kubernetes_puts_into_the_environment_is_no_setting() {
        let links = [
            ("REMORA_PORT", "tcp://10.0.0.1:6379"),
            ("REMORA_SERVICE_HOST", "10.0.0.1"),
            ("REMORA_SERVICE_PORT", "6379"),
            ("REMORA_SERVICE_PORT_REDIS", "6379"),
            ("REMORA_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
            ("REMORA_PORT_6379_TCP_ADDR", "10.0.0.1"),
            ("REMORA_TIER_PORT", "tcp://10.0.0.1:6379"),
            ("PORT", "x"),
        ];
        let found = startup(&["--replicaof", "h:1"], &links);
        assert_eq!((found.config.port, found.warnings.len()), (6379, 7));
    }

    #[test]
    fn help_lists_every_setting_and_demo_and_commands_are_known() {
        let Ok(Action::Print(help)) = ask(&["--help"], &[]) else { panic!("no help") };
        let help = help.to_string();
        for name in SETTINGS.iter().flat_map(Setting::names) {
            assert!(help.contains(name), "{name}");
        }
        assert!(matches!(ask(&["demo"], &[]), Ok(Action::Demo { port: None })));
        assert!(matches!(ask(&["demo", "--port", "7"], &[]), Ok(Action::Demo { port: Some(7) })));
        assert!(matches!(ask(&["--commands"], &[]), Ok(Action::ListCommands)));
    }
}
