//! The `tidegate` command.

use std::process::ExitCode;

/// Fewer pages touched by small allocations than with the system's, which is what a held stream is made of.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate_server::cli::run()
}
