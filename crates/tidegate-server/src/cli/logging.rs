//! Diagnostics of the process by `tracing`, to where the calls are logged too.

use std::io;

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::record::Sink;
use tidegate_config::{Log, LogFormat, LogLevel};

/// Starts logging for the process.
///
/// # Errors
/// The log file can't be opened.
pub(super) fn start(log: &Log) -> io::Result<()> {
    // RUST_LOG, where set, says more than the configuration can.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(log.level)));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Sink::open(log)?);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Text => {
            builder.with_ansi(log.file.is_none() && io::IsTerminal::is_terminal(&io::stderr())).init();
        }
    }
    Ok(())
}

/// The look-ups of AWS and Azure warn of each place where they find nothing, with a metadata service that most machines have not
/// among them; what comes of it is said by whoever asked.
fn directives(level: LogLevel) -> String {
    let name = level.name();
    match level {
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => {
            format!("{name},aws_config=error,azure_identity=error,azure_core=error")
        }
        LogLevel::Debug | LogLevel::Trace => name.to_owned(),
    }
}

impl<'w> MakeWriter<'w> for Sink {
    type Writer = &'w Self;

    fn make_writer(&'w self) -> Self::Writer {
        self
    }
}
