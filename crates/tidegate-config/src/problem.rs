//! What is wrong with a configuration, and where.
//!
//! Never holds a secret: messages quote the file's own text of harmless keys only, and the excerpt comes masked
//! (`mask.rs`). Made by every part of the configuration, printed by the command line.

use std::fmt;

/// Whether the gateway can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// It can't.
    Error,
    /// It can, but perhaps not as meant.
    Warning,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One thing that is wrong.
///
/// `{}` prints one line, `{:#}` adds the source line and a caret below the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named, or `environment`.
    pub file: String,
    /// Where in the file; `None` for what no line is to blame for.
    pub position: Option<Position>,
    /// Keys down to the value, such as `hosts.azure.base_url`, or a variable's name. May be empty.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The source line, with everything masked that could be a secret.
    pub excerpt: Option<String>,
}

impl Problem {
    /// Whether the gateway can't start with it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// A problem that no line of a file is to blame for.
    pub(super) fn nowhere(severity: Severity, file: &str, path: &str, message: impl Into<String>) -> Self {
        Self {
            severity,
            file: file.to_owned(),
            position: None,
            path: path.to_owned(),
            message: message.into(),
            excerpt: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(": warning")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        match (&self.excerpt, self.position) {
            (Some(excerpt), Some(position)) if f.alternate() => write_excerpt(f, excerpt, position),
            _ => Ok(()),
        }
    }
}

fn write_excerpt(f: &mut fmt::Formatter<'_>, excerpt: &str, position: Position) -> fmt::Result {
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    // Tabs stay tabs, so that the caret lands below its column whatever their width.
    let indent: String = excerpt
        .chars()
        .take(position.column.saturating_sub(1))
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    write!(f, "\n {number} | {excerpt}\n {margin} | {indent}^")
}
