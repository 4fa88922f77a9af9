//! The program: flags, logging, runtime, exit code.

use remora::allocator::Allocator;
use remora::config::{Action, from_process};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let startup = match from_process(std::env::args_os(), std::env::vars_os()) {
        Ok(Action::Run(startup)) => startup,
        _ => return ExitCode::from(64),
    };
    tracing_subscriber::fmt().init();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    match runtime.block_on(remora::node::run(*startup, stop)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::FAILURE
        }
    }
}
