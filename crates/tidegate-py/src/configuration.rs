//! A gateway's configuration file, as a client uses it: its hosts, its names for models, and how it connects.
//!
//! What else such a file says is about callers of a gateway, and means nothing here. Made by `_client.py`, asked by `host.rs`
//! for every call.

use std::{path::PathBuf, sync::Arc};

use pyo3::{exceptions::PyValueError, prelude::*};
use tidegate::Host;
use tidegate_config::{Config, Problem, Targets};

use crate::{engine::Engines, error};

/// A configuration file that has been read.
#[pyclass(frozen, module = "tidegate._native")]
pub(crate) struct Configuration {
    hosts: Targets<Arc<(String, Host)>>,
    pub(crate) engines: Engines,
    warnings: Vec<String>,
}

#[pymethods]
impl Configuration {
    /// Reads the file.
    ///
    /// # Errors
    /// `ValueError` with everything that is wrong in it.
    #[new]
    fn new(py: Python<'_>, file: PathBuf) -> PyResult<Self> {
        py.detach(|| Self::read(&file)).map_err(|problems| PyValueError::new_err(lines(&problems).join("\n")))
    }

    /// What it may mean otherwise than its writer thinks.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The names that lead to a model without naming its host.
    #[getter]
    fn models(&self) -> Vec<String> {
        self.hosts.models().map(str::to_owned).collect()
    }

    /// The host that a model's name leads to, and the host's own name for the model.
    ///
    /// # Errors
    /// It leads nowhere.
    fn split_model(&self, py: Python<'_>, name: &str) -> PyResult<(String, String)> {
        match self.hosts.resolve(name) {
            Ok((named, model)) => Ok((named.0.clone(), model.to_owned())),
            Err(failure) => Err(error::raised(py, "BadRequestError", &failure.into(), None)),
        }
    }

    /// The kind of the host of this name; empty if there is none.
    fn kind(&self, host: &str) -> &'static str {
        self.host(host).map_or("", |host| host.kind.name)
    }
}

impl Configuration {
    /// The host of this name.
    pub(crate) fn host(&self, name: &str) -> Option<Host> {
        self.hosts.hosts().find(|(other, _)| *other == name).map(|(_, named)| named.1.clone())
    }

    fn read(file: &std::path::Path) -> Result<Self, Vec<Problem>> {
        let loaded = tidegate_config::load_backends(file, &|name| std::env::var(name).ok());
        let (config, warnings): (Config, _) = loaded.into_result()?;
        let hosts = config.descriptions()?;
        Ok(Self { hosts, engines: Engines::connecting(config.connect), warnings: lines(&warnings) })
    }
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{problem:#}")).collect()
}
