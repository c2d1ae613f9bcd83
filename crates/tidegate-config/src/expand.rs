//! References to environment variables in values.
//!
//! `${NAME}`, `${NAME:-default}`, a whole value `os.environ/NAME`, and `$$` for a dollar sign. A dollar sign before anything
//! else stands for itself. Never reads the process's environment: it comes in as a function. Called by `reader.rs`.

use crate::Environment;

/// `text` with its references replaced.
///
/// # Errors
/// Every reference that can't be followed, each as a message that names the variable and no value.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<String, Vec<String>> {
    if let Some(name) = text.strip_prefix("os.environ/") {
        return look_up(name, environment).map_err(|message| vec![message]);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(reference) = rest.strip_prefix('{') {
            let Some((reference, after)) = reference.split_once('}') else {
                wrong.push("`${` is not closed by `}`; write `$$` for a dollar sign".to_owned());
                return Err(wrong);
            };
            rest = after;
            match follow(reference, environment) {
                Ok(value) => expanded.push_str(&value),
                Err(message) => wrong.push(message),
            }
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    if wrong.is_empty() { Ok(expanded) } else { Err(wrong) }
}

fn follow(reference: &str, environment: Environment<'_>) -> Result<String, String> {
    match reference.split_once(":-") {
        // As in a shell: an empty variable counts as unset.
        Some((name, default)) => {
            check_name(name)?;
            Ok(environment(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()))
        }
        None => look_up(reference, environment),
    }
}

fn look_up(name: &str, environment: Environment<'_>) -> Result<String, String> {
    check_name(name)?;
    environment(name).ok_or_else(|| {
        format!("environment variable {name} is not set; set it or write `${{{name}:-default}}`")
    })
}

fn check_name(name: &str) -> Result<(), String> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if letters && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit()) {
        return Ok(());
    }
    // The text could be a secret that begins with `${` by chance, so it is not quoted.
    Err("a reference is written `${NAME}` or `${NAME:-default}`; write `$$` for a dollar sign".to_owned())
}
