//! demo
use clap::Args;
use std::{io, process::ExitCode};
#[derive(Args)]
pub(super) struct Options {}
pub(super) fn run(_options: &Options) -> io::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
