//! The operator's own model names, and where they lead.
//!
//! A target is `host/model`, or another of these names. Called by `sections.rs` to check them and by `targets.rs` to
//! resolve them.

use std::collections::HashMap;

use tidegate::Host;

use crate::reader::{Field, Report, Section};

/// A name for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What callers write.
    pub name: String,
    /// `host/model`, or the name of another [`Model`].
    pub target: String,
}

/// Reads the names. Their targets are checked against `hosts`.
pub(super) fn read(field: &Field<'_>, hosts: &[&str], report: &mut Report<'_>) -> Vec<Model> {
    let Some(section) = Section::open(field, report) else { return Vec::new() };
    let mut models = Vec::new();
    let mut places = Vec::new();
    for (name, position, field) in section.fields() {
        if name.is_empty() {
            report.error(position, &field.path, "a model needs a name");
        }
        if let Some((place, target)) = target(&field, report) {
            models.push(Model { name: name.to_owned(), target });
            places.push(place);
        }
    }
    let names = by_name(&models);
    for (model, place) in models.iter().zip(places) {
        if let Err(why) = follow(&model.name, &names).and_then(|target| split(target, hosts).map(drop)) {
            place.error(report, format!("{} {why}", place.quoted()));
        }
    }
    models
}

fn target<'t>(field: &Field<'t>, report: &mut Report<'_>) -> Option<(Field<'t>, String)> {
    let place = match &field.node.value {
        crate::tree::Value::Map(_) => {
            let section = Section::of(field, &["target"], report)?;
            match section.field("target") {
                Some(place) => place,
                None => {
                    field.error(report, "needs a target: `target: host/model`");
                    return None;
                }
            }
        }
        _ => field.clone(),
    };
    let text = place.text(report)?;
    Some((place, text))
}

/// Targets by name.
pub(super) fn by_name(models: &[Model]) -> HashMap<&str, &str> {
    models.iter().map(|model| (model.name.as_str(), model.target.as_str())).collect()
}

/// The `host/model` that `name` leads to. A name that is its own target (`openai/gpt-4o: openai/gpt-4o`) means the host's
/// model.
///
/// # Errors
/// The names lead round in a circle.
pub(super) fn follow<'m>(name: &'m str, names: &HashMap<&'m str, &'m str>) -> Result<&'m str, String> {
    let mut at = name;
    let mut way = vec![name];
    while let Some(next) = names.get(at).copied() {
        if next == at {
            return Ok(next);
        }
        if way.contains(&next) {
            way.push(next);
            return Err(format!("leads round in a circle: {}", way.join(" -> ")));
        }
        way.push(next);
        at = next;
    }
    Ok(at)
}

/// Host and the host's model. Like every message here, those of its errors follow the quoted value.
pub(super) fn split<'m>(target: &'m str, hosts: &[&str]) -> Result<(&'m str, &'m str), String> {
    let Some((host, model)) = target.split_once('/') else {
        return Err("is neither host/model nor another name under `models`".to_owned());
    };
    if !hosts.contains(&host) {
        let known = if hosts.is_empty() { "none".to_owned() } else { hosts.join(", ") };
        return Err(format!("names no configured host; hosts: {known}"));
    }
    if model.is_empty() {
        return Err("names no model after the host".to_owned());
    }
    Ok((host, model))
}

/// Names of hosts.
pub(super) fn host_names(hosts: &[(String, Host)]) -> Vec<&str> {
    hosts.iter().map(|(name, _)| name.as_str()).collect()
}
