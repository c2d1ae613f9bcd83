//! Bad configurations: each `fixtures/NAME.yaml` has a `NAME.expected` with all that is said about it, one problem
//! after the other with its source line. A new pair of files is a new test. With `UPDATE_EXPECTED=1` the expectations
//! are written anew, to be read in the diff.

#![expect(clippy::expect_used, reason = "a fixture that can't be read fails the test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

#[test]
fn every_bad_configuration_is_described_as_expected() {
    let mut wrong = Vec::new();
    let fixtures = fixtures();
    assert!(fixtures.len() >= 15, "only {} fixtures found", fixtures.len());
    for yaml in &fixtures {
        let said = described(yaml);
        let expectation = yaml.with_extension("expected");
        if env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expectation, &said).expect("writable fixtures");
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", yaml.display()));
        }
    }
    println!("{} bad configurations checked", fixtures.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_description_shows_a_secret() {
    for yaml in fixtures() {
        let said = described(&yaml);
        assert!(!said.contains("must-not-be-shown"), "{}:\n{said}", yaml.display());
        assert!(!said.contains("sk-live"), "{}:\n{said}", yaml.display());
    }
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files =
        fs::read_dir(folder).expect("the folder of fixtures").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    files.sort();
    files
}

fn described(yaml: &Path) -> String {
    let text = fs::read_to_string(yaml).expect("a readable fixture");
    let environment = |name: &str| (name == "EMPTY").then(String::new);
    let loaded = tidegate_config::parse("tidegate.yaml", &text, &environment);
    assert_eq!(
        loaded.config.is_none(),
        loaded.problems.iter().any(tidegate_config::Problem::is_error),
        "{}: a configuration exactly if there is no error",
        yaml.display()
    );
    assert!(!loaded.problems.is_empty(), "{}: nothing found", yaml.display());
    loaded.problems.iter().map(|problem| format!("{problem:#}\n")).collect()
}
