//! Installs peer gateways from their public package indexes, pinned, into folders under `.xtask/`.

use super::subject::Subject;
use crate::{python, step};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// LiteLLM's proxy in a virtual environment of its own.
pub(crate) fn litellm(root: &Path) -> Result<Subject> {
    let programs = python::environment(&root.join(".xtask/peers-venv"), LITELLM)?;
    Ok(Subject::LiteLlm { programs })
}

/// Portkey's gateway from npm; needs Node.js.
pub(crate) fn portkey(root: &Path) -> Result<Subject> {
    let folder = root.join(".xtask/peers-npm");
    let script = folder.join("node_modules/@portkey-ai/gateway/build/start-server.js");
    if !script.is_file() {
        std::fs::create_dir_all(&folder)?;
        let mut install = Command::new("npm");
        install
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&folder)
            .arg(PORTKEY);
        step::run("install Portkey", &mut install)?;
    }
    if !script.is_file() {
        bail!("{} is missing after its installation", script.display());
    }
    Ok(Subject::Portkey { script })
}

/// Not the newest: later ones want a certifi that package indexes which lag by a month do not have yet.
const LITELLM: &str = "litellm[proxy]==1.106.2\n";
/// With Node.js 20 it answers every streaming call with 500 ("TypeError: immutable"); the table then has its
/// non-streaming figures and says so.
const PORTKEY: &str = "@portkey-ai/gateway@1.15.2";
