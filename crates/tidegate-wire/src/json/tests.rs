use super::*;

fn string(text: &str) -> Option<(&str, usize)> {
    let mut cursor = Cursor::over(text);
    let read = cursor.string()?;
    Some((std::str::from_utf8(read).unwrap(), cursor.at))
}

/// Short strings are read another way than long ones; the border must not show.
#[test]
fn a_string_of_any_length_ends_at_its_own_quote() {
    for length in 0..100 {
        let inside = "x".repeat(length);
        for tail in ["", "é", r"\n", r#"\""#, r"\\", r"\u00e9", r"\ud83d"] {
            let inside = format!("{inside}{tail}");
            let text = format!("\"{inside}\", \"y\"");
            assert_eq!(string(&text), Some((&*inside, inside.len() + 2)));
            assert_eq!(string(&format!("\"{inside}")), None);
        }
        for tail in [r"\q", r"\u12", "\n", "\u{1f}", r"\n\q"] {
            assert_eq!(string(&format!("\"{inside}{tail}\"")), None, "{inside}{tail:?}");
            assert_eq!(string(&format!("\"{inside}{tail}{inside}\"")), None, "{inside}{tail:?}");
        }
    }
}

#[test]
fn eight_bytes_at_once_are_judged_as_each_is() {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    for first in 0..=255 {
        for second in 0..=255 {
            for at in 0..7 {
                let mut word = *b"xxxxxxxx";
                (word[at], word[at + 1]) = (first, second);
                assert_eq!(special_of_8(word), word.iter().position(is_special), "{word:?}");
            }
        }
    }
}

#[test]
fn a_count_is_a_plain_whole_number_and_every_other_value_is_passed_over() {
    let count = |text: &str| {
        let mut cursor = Cursor::over(text);
        cursor.count().map(|count| (count, cursor.is_at_end()))
    };
    assert_eq!(count(" 12 "), Some((Some(12), true)));
    assert_eq!(count("18446744073709551615"), Some((Some(u64::MAX), true)));
    for other in
        ["18446744073709551616", "-1", "-0", "1.0", "1e2", "\"5\"", "null", "true", "{\"a\":1}", "[1]"]
    {
        assert_eq!(count(other), Some((None, true)), "{other}");
    }
    for broken in ["", "+1", "01", "1.", "nul", "[1", "\"a", "[1,]"] {
        assert_eq!(count(broken), None, "{broken}");
    }
}

#[test]
fn values_nested_too_deep_are_refused_before_the_stack_is() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Cursor::over(&nested(32)).skip().is_some());
    assert!(Cursor::over(&nested(33)).skip().is_none());
    assert!(Cursor::over(&"[".repeat(1 << 20)).skip().is_none());
}

#[test]
fn bytes_that_are_no_text_are_no_json() {
    assert!(Cursor::new(b"\"\xff\"").is_none());
}
