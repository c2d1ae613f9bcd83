//! Where the recorded traffic is.

use std::path::PathBuf;

/// The recorded traffic beside the project, if it is there.
pub(crate) fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if path.is_dir() {
        return Some(path);
    }
    println!("the corpus ../shared/vectors is absent: only the project's own fixtures are checked");
    None
}
