//! The program: flags, logging, runtime, signals, exit code.
//!
//! Exit codes: 0 after a wanted end, 1 if it cannot start or go on, 64 for settings that are unknown or malformed.

use remora::allocator::Allocator;
use remora::command::acl::BadUsers;
use remora::command::table;
use remora::config::{Action, ConfigError, LiveConfig, Startup, from_process};
use remora::progress::Screen;
use remora::{demo, descriptors, logging, node, panics};
use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let ended = match from_process(std::env::args_os(), std::env::vars_os()) {
        Ok(Action::Run(startup)) => in_runtime(run(*startup)),
        Ok(Action::Demo { port }) => in_runtime(demo::run(port, run_until)),
        Ok(Action::ListCommands) => list_commands(),
        Ok(Action::Print(text)) => print(&text.to_string()),
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            let inner = error.get_ref();
            let of_settings = inner.is_some_and(|inner| inner.is::<ConfigError>() || inner.is::<BadUsers>());
            if of_settings { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The main thread accepts clients and answers probes; workers and link have threads of their own.
fn in_runtime(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    ended
}

async fn run(startup: Startup) -> io::Result<()> {
    run_until(startup, std::future::pending()).await
}

/// Runs until a signal or until `stop`.
async fn run_until(mut startup: Startup, stop: impl Future<Output = ()>) -> io::Result<()> {
    let screen = Screen::new(startup.config.logfile.is_none());
    if let Some(dir) = &startup.config.dir {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("dir {}: {error}", dir.display()));
        std::env::set_current_dir(dir).map_err(named)?;
        startup.config.dir = Some(std::env::current_dir()?);
    }
    let room = descriptors::fit(&mut startup.config).map_err(io::Error::other)?;
    startup.warnings.extend(room);
    let live = Arc::new(LiveConfig::new(startup.config));
    logging::start(&live, &screen)?;
    panics::end_the_process();
    for warning in &startup.warnings {
        tracing::warn!("{warning}");
    }
    let end = async {
        tokio::select! {
            () = stop => {}
            () = signalled() => {}
        }
    };
    outlive_full_files();
    node::run(live, startup.master, &screen, end).await
}

/// A file that has grown to its limit (`ulimit -f`) is a save that fails, not the end of the process. The handler stays.
fn outlive_full_files() {
    if let Err(error) = signal(SignalKind::from_raw(libc::SIGXFSZ)) {
        tracing::warn!(%error, "SIGXFSZ cannot be caught: a file that reaches its limit would end the process");
    }
}

/// Resolves at SIGTERM or SIGINT. A second one ends the process at once.
async fn signalled() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
}

/// `--commands`: name, arity, what clients may do with it.
fn list_commands() -> io::Result<()> {
    let mut rows: Vec<_> = table::rows().collect();
    rows.sort_unstable_by_key(|row| row.name);
    let line = |row: &remora::command::row::Row| {
        let kind = if row.is_write() { "refused, from the master only" } else { "answered" };
        format!("{:<24}{:>4}  {kind}\n", row.name.to_uppercase(), row.arity)
    };
    print(&rows.into_iter().map(line).collect::<String>())
}

fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        // `remora --help | head`
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn complain(text: &str) {
    drop(writeln!(io::stderr(), "remora: {text}"));
}
