//! Typed access to the tree, collecting every problem on the way instead of stopping at the first.
//!
//! A [`Section`] is a mapping with a list of the keys that it may have; a [`Field`] is one of its values. What can't be read
//! becomes a problem and `None`, and reading goes on with the default. Never quotes a value after expansion. Called by the
//! files that know the sections.

use std::{collections::HashSet, path::PathBuf};

use tidegate_wire::auth::Secret;

use crate::{
    Environment,
    expand::expand,
    mask::Mask,
    problem::{Position, Problem, Severity},
    tree::{Entry, Node, Value},
};

/// Where problems are collected, and what is needed to describe and expand.
pub(super) struct Report<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
    pub(super) mask: Mask,
    pub(super) environment: Environment<'t>,
    pub(super) problems: Vec<Problem>,
}

impl Report<'_> {
    pub(super) fn error(&mut self, position: Position, path: &str, message: impl Into<String>) {
        self.add(Severity::Error, position, path, message.into());
    }

    pub(super) fn warning(&mut self, position: Position, path: &str, message: impl Into<String>) {
        self.add(Severity::Warning, position, path, message.into());
    }

    fn add(&mut self, severity: Severity, position: Position, path: &str, message: String) {
        self.problems.push(Problem {
            severity,
            file: self.file.to_owned(),
            position: Some(position),
            path: path.to_owned(),
            message,
            excerpt: self.mask.line(self.text, position.line),
        });
    }
}

/// A value with the path that leads to it.
#[derive(Clone)]
pub(super) struct Field<'t> {
    pub(super) node: &'t Node,
    pub(super) path: String,
}

/// A mapping whose keys have been checked.
pub(super) struct Section<'t> {
    entries: &'t [Entry],
    path: String,
    /// Where a missing key would have to be added.
    pub(super) position: Position,
}

impl<'t> Section<'t> {
    /// `field` as a mapping with `known` keys. Nothing at all counts as an empty mapping.
    pub(super) fn of(field: &Field<'t>, known: &[&str], report: &mut Report<'_>) -> Option<Self> {
        let section = Self::open(field, report)?;
        for entry in section.entries {
            if !known.contains(&entry.key.as_str()) {
                let message = unknown_key(&entry.key, known);
                report.error(entry.position, &section.path_of(without_value(&entry.key)), message);
            }
        }
        Some(section)
    }

    /// `field` as a mapping whose keys are names of the operator's choice.
    pub(super) fn open(field: &Field<'t>, report: &mut Report<'_>) -> Option<Self> {
        let Field { node, path } = field;
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let message = format!("expected a mapping of keys to values, found {}", other.kind());
                report.error(node.position, path, message);
                return None;
            }
        };
        let section = Self { entries, path: path.clone(), position: node.position };
        let mut seen = HashSet::new();
        for entry in entries {
            if !seen.insert(entry.key.as_str()) {
                let path = section.path_of(without_value(&entry.key));
                report.error(entry.position, &path, "the key is here twice; remove one");
            }
        }
        Some(section)
    }

    /// The value of `key`.
    pub(super) fn field(&self, key: &str) -> Option<Field<'t>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { node: &entry.node, path: self.path_of(key) })
    }

    /// Every key with its place and its value, without repetitions.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'t str, Position, Field<'t>)> + '_ {
        let mut seen = HashSet::new();
        let first = self.entries.iter().filter(move |entry| seen.insert(entry.key.as_str()));
        first.map(|entry| {
            let field = Field { node: &entry.node, path: self.path_of(&entry.key) };
            (entry.key.as_str(), entry.position, field)
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reads `key` with `parse` into `slot`, which keeps its default if the key is absent or wrong.
    pub(super) fn read<T>(
        &self,
        key: &str,
        slot: &mut T,
        report: &mut Report<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) {
        if let Some(value) = self.field(key).and_then(|field| field.parse(report, parse)) {
            *slot = value;
        }
    }

    pub(super) fn text(&self, key: &str, report: &mut Report<'_>) -> Option<String> {
        self.field(key)?.text(report)
    }

    pub(super) fn secret(&self, key: &str, report: &mut Report<'_>) -> Option<Secret> {
        self.text(key, report).map(Secret::new)
    }

    pub(super) fn path_buf(&self, key: &str, report: &mut Report<'_>) -> Option<PathBuf> {
        self.text(key, report).map(PathBuf::from)
    }
}

impl<'t> Field<'t> {
    /// The value as non-empty text, with its references followed.
    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<String> {
        let written = match &self.node.value {
            Value::Scalar(written) => written,
            Value::Null => {
                self.error(report, "has no value; give one or remove the key");
                return None;
            }
            other => {
                self.error(report, format!("expected a single value, found {}", other.kind()));
                return None;
            }
        };
        match expand(written, report.environment) {
            Ok(text) if text.is_empty() => {
                let variable = if written.is_empty() { "" } else { " once its variables are filled in" };
                self.error(report, format!("is empty{variable}"));
                None
            }
            Ok(text) => Some(text),
            Err(messages) => {
                messages.into_iter().for_each(|message| self.error(report, message));
                None
            }
        }
    }

    /// The value as `parse` understands it. For values that are no secrets: the message quotes what the file says.
    pub(super) fn parse<T>(
        &self,
        report: &mut Report<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(report)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.error(report, format!("{} {why}", self.quoted()));
                None
            }
        }
    }

    /// The value as the file has it: references are not followed.
    pub(super) fn quoted(&self) -> String {
        match &self.node.value {
            Value::Scalar(written) => format!("`{}`", written.escape_debug()),
            other => other.kind().to_owned(),
        }
    }

    pub(super) fn error(&self, report: &mut Report<'_>, message: impl Into<String>) {
        report.error(self.node.position, &self.path, message);
    }

    pub(super) fn warning(&self, report: &mut Report<'_>, message: impl Into<String>) {
        report.warning(self.node.position, &self.path, message);
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::Map(entries) => entries.is_empty(),
            Value::Scalar(_) | Value::List(_) => false,
        }
    }

    /// The items of a list; a single value counts as a list of one.
    pub(super) fn items(&self) -> Vec<Field<'t>> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(index, node)| Field { node, path: format!("{}[{index}]", self.path) };
                items.iter().enumerate().map(item).collect()
            }
            _ => vec![self.clone()],
        }
    }
}

/// "`wrong` is none of a, b; did you mean a?"
pub(super) fn none_of(what: &str, wrong: &str, known: &[&str]) -> String {
    let nearest = nearest(wrong, known).map(|near| format!("did you mean {near}? "));
    let list = if known.len() > SHOWN {
        "`tidegate hosts` lists them".to_owned()
    } else {
        format!("known: {}", known.join(", "))
    };
    format!("unknown {what}; {}{list}", nearest.unwrap_or_default())
}

/// A longer list would hide the nearest, which is what was meant.
const SHOWN: usize = 12;

fn unknown_key(key: &str, known: &[&str]) -> String {
    let name = without_value(key);
    if name != key && known.contains(&name) {
        return format!("put a space after the colon: `{name}: ...`");
    }
    match nearest(name, known) {
        Some(near) => format!("unknown key; did you mean {near}?"),
        None => format!("unknown key; known here: {}", known.join(", ")),
    }
}

/// A key such as `api_key:sk-...` lacks the space, and holds the value.
fn without_value(key: &str) -> &str {
    key.split(':').next().unwrap_or(key)
}

fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|known| (strsim::jaro_winkler(wrong, known), *known));
    let (similarity, near) = near.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (similarity >= SIMILAR).then_some(near)
}

/// Jaro-Winkler similarity from which one is likely a slip for the other: `port` is not `proxy_from_env`, `timeout` is not `token`.
const SIMILAR: f64 = 0.8;
