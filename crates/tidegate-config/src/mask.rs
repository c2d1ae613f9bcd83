//! Source lines that are fit to be shown.
//!
//! A value stays readable only if its key is known to be harmless; every other letter and digit of a value becomes a star, so that
//! a misspelt `api_kye: sk-...` is not printed either. Keys stay. Called when a problem is made.

use std::ops::Range;

use tidegate::settings;

use crate::tree::{Entry, Node, Value};

/// The bytes of a file that must not be shown.
#[derive(Debug, Default)]
pub(super) struct Mask(Vec<Range<usize>>);

impl Mask {
    /// Everything in `root` but values of harmless keys.
    pub(super) fn of(root: &Node, text: &str) -> Self {
        let mut mask = Self::default();
        mask.cover(root, &mut Vec::new(), text);
        mask
    }

    /// Line `number` of `text`, masked.
    pub(super) fn line(&self, text: &str, number: usize) -> Option<String> {
        let (start, line) = line(text, number)?;
        let end = start + line.len();
        let near: Vec<&Range<usize>> =
            self.0.iter().filter(|range| range.start < end && start < range.end).collect();
        let hidden = |at: usize| near.iter().any(|range| range.contains(&at));
        Some(line.char_indices().map(|(at, character)| star(character, hidden(start + at))).collect())
    }

    fn cover<'n>(&mut self, node: &'n Node, path: &mut Vec<&'n str>, text: &str) {
        match &node.value {
            Value::Null => {}
            Value::Scalar(_) => {
                let shown = text.get(node.range.clone()).unwrap_or_default();
                if (!is_harmless(path) || settings::url_holds_secret(shown)) && !is_reference(shown) {
                    self.0.push(node.range.clone());
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.cover(item, path, text)),
            Value::Map(entries) => {
                for entry in entries {
                    self.cover_entry(entry, path, text);
                }
            }
        }
    }

    fn cover_entry<'n>(&mut self, entry: &'n Entry, path: &mut Vec<&'n str>, text: &str) {
        // `{api_key:sk-...}` lacks the space, so all of it is the key.
        let colon = text.get(entry.key_range.clone()).and_then(|key| key.find(':'));
        if let Some(colon) = colon.filter(|_| matches!(entry.node.value, Value::Null)) {
            self.0.push(entry.key_range.start + colon..entry.key_range.end);
        }
        path.push(&entry.key);
        self.cover(&entry.node, path, text);
        path.pop();
    }
}

/// Line `number` of a file that is not YAML: what follows the first colon may be anything.
pub(super) fn unparsed_line(text: &str, number: usize) -> Option<String> {
    let (_, line) = line(text, number)?;
    let shown = line.find(": ").unwrap_or(0);
    Some(line.char_indices().map(|(at, character)| star(character, at >= shown)).collect())
}

/// Whether a scalar is nothing but the names of variables. `${NAME:-default}` is not: the default may be a secret.
fn is_reference(scalar: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let bare = scalar.trim_matches(['"', '\'']);
    let inner = bare.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| inner.bytes().all(name))
}

/// Whether a value at `path` is never a secret.
fn is_harmless(path: &[&str]) -> bool {
    matches!(
        path,
        ["listen" | "models" | "fetch_media" | "limits" | "connect" | "log", ..]
            | ["drop_params" | "heartbeat" | "user_timeout" | "drain" | "workers"]
            | ["hosts", _, "clocks", ..]
            | ["hosts", _, "kind" | "base_url" | "api_version" | "region" | "http" | "responses"]
    )
}

fn line(text: &str, number: usize) -> Option<(usize, &str)> {
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == number {
            return Some((start, line.trim_end_matches(['\n', '\r'])));
        }
        start += line.len();
    }
    None
}

fn star(character: char, hidden: bool) -> char {
    if hidden && !character.is_ascii_punctuation() && !character.is_whitespace() { '*' } else { character }
}
