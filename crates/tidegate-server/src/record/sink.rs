//! Where log lines go: standard error, or a file that is appended to.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::AsRawFd as _,
};

use tidegate_config::Log;

/// A place for log lines. Each write is one system call, so that lines of several writers don't mix.
pub(crate) struct Sink(Option<File>);

impl Sink {
    /// The place that `log` names.
    ///
    /// # Errors
    /// The file can't be opened.
    pub(crate) fn open(log: &Log) -> io::Result<Self> {
        let file = log.file.as_ref();
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        file.map(open).transpose().map(Self)
    }

    /// Writes whole lines; waits if the place takes none.
    pub(crate) fn write(&self, lines: &[u8]) -> io::Result<()> {
        match &self.0 {
            Some(file) => (&*file).write_all(lines),
            None => io::stderr().write_all(lines),
        }
    }
}

impl Sink {
    /// Whether a line can be written without waiting: a pipe that nobody reads is full some day.
    fn has_room(&self) -> bool {
        let descriptor = match &self.0 {
            Some(file) => file.as_raw_fd(),
            None => io::stderr().as_raw_fd(),
        };
        let mut asked = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
        // SAFETY: `poll` reads and writes the one `pollfd` at the given address, which is that of a live local.
        #[expect(unsafe_code, reason = "no safe wrapper is at hand")]
        let ready = unsafe { libc::poll(&raw mut asked, 1, 0) };
        // Without an answer it is tried.
        ready != 0
    }
}

/// Diagnostics, which workers write themselves: where they would have to wait, the line is left out.
impl Write for &Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_room() {
            Sink::write(self, bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
