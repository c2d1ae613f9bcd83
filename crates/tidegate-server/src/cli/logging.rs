//! Structured logs: one line for each call and what else needs a person, to standard error or a file.

use std::{
    fs::{File, OpenOptions},
    io,
    sync::Arc,
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{Log, LogFormat};

/// Starts logging for the process.
///
/// # Errors
/// The log file can't be opened.
pub(super) fn start(log: &Log) -> io::Result<()> {
    // RUST_LOG, where set, says more than the configuration can.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(log.level.name()));
    let writer = match &log.file {
        Some(path) => Writer(Some(Arc::new(OpenOptions::new().create(true).append(true).open(path)?))),
        None => Writer(None),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Text => {
            builder.with_ansi(log.file.is_none() && io::IsTerminal::is_terminal(&io::stderr())).init()
        }
    }
    Ok(())
}

/// Standard error, or a file that is appended to: one write for each line.
struct Writer(Option<Arc<File>>);

impl<'w> MakeWriter<'w> for Writer {
    type Writer = Box<dyn io::Write + 'w>;

    fn make_writer(&'w self) -> Self::Writer {
        match &self.0 {
            Some(file) => Box::new(file.as_ref()),
            None => Box::new(io::stderr()),
        }
    }
}
