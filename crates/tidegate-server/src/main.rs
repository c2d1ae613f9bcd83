//! The `tidegate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    keep_freed_memory();
    tidegate_server::cli::run()
}

/// Keeps up to 64 MiB of freed memory at the top of an arena. glibc gives back whatever exceeds 128 KiB at once; with a few
/// hundred callers that is a system call and a page fault for many requests.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_freed_memory() {
    // SAFETY: `mallopt` takes two integers and touches the allocator's parameters only; no other thread runs yet.
    #[expect(unsafe_code, reason = "glibc's allocator has no safe interface")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        // Setting any parameter ends the automatic rise of this one; large bodies stay out of the heap.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_memory() {}
