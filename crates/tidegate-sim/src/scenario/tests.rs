use std::time::Duration;

use super::{Scenario, WORDS};

#[test]
fn a_header_names_fields_in_full() {
    let scenario =
        Scenario::default().with("tokens=100,interval=5ms, stall=7;tag=abc burst=4 gap=2s deaf").unwrap();
    assert_eq!(scenario.tokens, 100);
    assert_eq!(scenario.interval, Duration::from_millis(5));
    assert_eq!(scenario.stall, Some(7));
    assert_eq!(scenario.tag.as_deref(), Some("abc"));
    assert_eq!((scenario.burst, scenario.gap), (4, Duration::from_secs(2)));
    assert!(scenario.deaf);
}

#[test]
fn a_model_name_is_a_short_scenario_also_behind_a_vendor_prefix() {
    for name in ["sim-t100-i5ms-stall10-err429", "us.amazon.sim-t100-i5ms-stall10-err429"] {
        let scenario = Scenario::default().with_model(name).unwrap();
        assert_eq!((scenario.tokens, scenario.stall, scenario.error), (100, Some(10), Some(429)), "{name}");
        assert_eq!(scenario.interval, Duration::from_millis(5));
    }
    assert_eq!(Scenario::default().with_model("gpt-4o-mini").unwrap(), Scenario::default());
}

#[test]
fn the_last_bracket_in_the_prompt_counts() {
    let body = br#"{"messages":[{"content":"[sim tokens=1]"},{"content":"hi [sim tokens=2 tag=b] there"}]}"#;
    let scenario = Scenario::default().with_prompt(body).unwrap();
    assert_eq!((scenario.tokens, scenario.tag.as_deref()), (2, Some("b")));
    assert_eq!(Scenario::default().with_prompt(b"[sim tokens=2").unwrap(), Scenario::default());
}

#[test]
fn a_word_that_is_not_understood_is_named() {
    for text in ["tokns=3", "tokens=many", "interval=5h", "error=200", "deaf=2", "text=99999999"] {
        let error = Scenario::default().with(text).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    assert!(Scenario::default().with_model("sim-q7").is_err());
    assert!(Scenario::default().with_prompt(b"[sim nope=1]").is_err());
    assert!(Scenario::default().with_prompt(b"[sim \xff]").is_err());
}

#[test]
fn token_text_has_the_size_asked_for_and_no_word_twice() {
    let scenario = Scenario { text: 64, ..Scenario::default() };
    assert_eq!(scenario.token_text(3).len(), 64);
    let mut words = WORDS.to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), WORDS.len());
}
