//! STUB
use std::{collections::HashMap, sync::Arc};
use tidegate_engine::Target;
use tidegate_wire::WireError;
/// Targets.
pub struct Targets {
    /// hosts
    pub hosts: HashMap<String, Arc<Target>>,
}
impl Targets {
    /// Resolve.
    ///
    /// # Errors
    /// Unknown.
    pub fn resolve<'a>(&self, model: &'a str) -> Result<(Arc<Target>, &'a str), WireError> {
        let unknown = || WireError::new(tidegate_wire::ErrorClass::NotFound, format!("no model {model}"));
        let (host, rest) = model.split_once('/').ok_or_else(unknown)?;
        Ok((self.hosts.get(host).ok_or_else(unknown)?.clone(), rest))
    }
    /// Models.
    pub fn models(&self) -> impl Iterator<Item = (&str, &str)> {
        self.hosts.keys().map(|k| (k.as_str(), "x"))
    }
}
