//! Counts passed and failed tests from what libtest and pytest print.
//!
//! Pure: lines in, counts out. Called by the test command for every line that it passes through.

/// Tests passed and failed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Counts libtest's summary line (`test result: ok. 3 passed; 0 failed; ...`); other lines count nothing.
    pub(crate) fn libtest_line(&mut self, line: &str) {
        if let Some(summary) =
            line.strip_prefix("test result: ").filter(|line| line.contains("; finished in "))
        {
            self.passed += count_before(summary, "passed");
            self.failed += count_before(summary, "failed");
        }
    }

    /// Counts pytest's summary line (`1 failed, 3 passed, 1 error in 0.12s`, with or without a rule of `=`
    /// around it); other lines count nothing. An error in set-up or collection is a failure.
    pub(crate) fn pytest_line(&mut self, line: &str) {
        let summary = line.trim_matches(['=', ' ']);
        let starts_with_count = summary.starts_with(|first: char| first.is_ascii_digit());
        if !starts_with_count || !summary.contains(" in ") {
            return;
        }
        self.passed += count_before(summary, "passed");
        for word in ["failed", "error", "errors"] {
            self.failed += count_before(summary, word);
        }
    }

    /// Counts the closing lines of Node's test runner (`# pass 3`, `# fail 1`, `# cancelled 1`); other lines count nothing.
    pub(crate) fn node_line(&mut self, line: &str) {
        let Some((word, count)) = line.strip_prefix("# ").and_then(|closing| closing.split_once(' ')) else {
            return;
        };
        let count = count.parse().unwrap_or(0);
        match word {
            "pass" => self.passed += count,
            "fail" | "cancelled" => self.failed += count,
            _ => {}
        }
    }
}

/// The number in front of `word`; none is zero.
fn count_before(summary: &str, word: &str) -> u64 {
    let mut previous = "";
    for part in summary.split([' ', ';', ',', '.']).filter(|part| !part.is_empty()) {
        if part == word {
            return previous.parse().unwrap_or(0);
        }
        previous = part;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_summaries_add_up_over_binaries() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test reads_3_passed ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.01s",
        ] {
            tally.libtest_line(line);
        }
        assert_eq!(tally, Tally { passed: 15, failed: 2 });
    }

    #[test]
    fn pytest_errors_count_as_failures() {
        let mut tally = Tally::default();
        tally.pytest_line("tests/e2e/test_chat.py ....F                     [100%]");
        tally.pytest_line("FAILED tests/e2e/test_chat.py::test_it - 3 passed in 1s");
        tally.pytest_line("==== 1 failed, 40 passed, 2 skipped, 3 errors in 9.12s ====");
        assert_eq!(tally, Tally { passed: 40, failed: 4 });
    }

    #[test]
    fn pytest_without_colour_or_rule_is_counted_too() {
        let mut tally = Tally::default();
        tally.pytest_line("7 passed, 1 error in 0.02s");
        assert_eq!(tally, Tally { passed: 7, failed: 1 });
    }

    #[test]
    fn node_counts_in_its_closing_lines() {
        let mut tally = Tally::default();
        for line in [
            "ok 3 - pass 7",
            "    # pass 9",
            "# tests 6",
            "# pass 3",
            "# fail 1",
            "# cancelled 2",
            "# skipped 1",
        ] {
            tally.node_line(line);
        }
        assert_eq!(tally, Tally { passed: 3, failed: 3 });
    }
}
