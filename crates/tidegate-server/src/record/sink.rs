//! Where log lines go: standard error, or a file that is appended to.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
};

use crate::config::Log;

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

    /// Writes whole lines.
    pub(crate) fn write(&self, lines: &[u8]) -> io::Result<()> {
        match &self.0 {
            Some(file) => (&*file).write_all(lines),
            None => io::stderr().write_all(lines),
        }
    }
}

impl Write for &Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Sink::write(self, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
