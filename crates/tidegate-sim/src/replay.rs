//! Recorded exchanges, served again.

use std::io;
use std::path::Path;

use crate::journal::Backend;
use crate::plan::Plan;
use crate::scenario::Scenario;

/// Recorded exchanges by provider and name.
#[derive(Debug)]
pub struct Replay {}

impl Replay {
    /// Loads the vectors of a directory.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load(_directory: &Path) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn plan(&self, _backend: Backend, _model: &str, _scenario: Option<&Scenario>) -> Option<Plan> {
        None
    }
}
