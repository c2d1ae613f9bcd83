use super::usage;
use crate::{hub::Usage, json::Cursor};

fn read(text: &str) -> Option<Usage> {
    usage(&mut Cursor::over(text))
}

#[test]
fn a_usage_object_is_read_whole_and_kept_as_it_came() {
    let text = r#"{"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 43, "cost": 1.5e-3,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 7}, "queue": [{"deep": ["\"}"]}]}"#;
    let expected = Usage {
        prompt_tokens: 12,
        completion_tokens: 30,
        total_tokens: 43,
        cached_tokens: Some(4),
        cache_write_tokens: Some(2),
        reasoning_tokens: Some(7),
        running: false,
        raw: Some(text.into()),
    };
    assert_eq!(read(text), Some(expected.clone()));
    assert_eq!(read(&format!("\n {text} ")), Some(expected));
}

#[test]
fn what_a_usage_object_does_not_say_is_not_known() {
    assert_eq!(read("{}"), Some(Usage { raw: Some("{}".into()), ..Usage::default() }));
    let summed = read(r#"{"prompt_tokens":3,"completion_tokens":4}"#).unwrap();
    assert_eq!((summed.total_tokens, summed.cached_tokens, summed.reasoning_tokens), (7, None, None));
    for none in ["null", "5", "[]", "\"\"", "", "{", r#"{"prompt_tokens":}"#] {
        assert_eq!(read(none), None, "{none}");
    }
}

#[test]
fn a_count_of_another_form_costs_only_itself() {
    let text = r#"{"prompt_tokens":"12","total_tokens":9.0,"completion_tokens":4,"prompt_tokens_details":[1],
        "completion_tokens_details":{"reasoning_tokens":-1}}"#;
    let usage = read(text).unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (0, 4, 4));
    assert_eq!((usage.cached_tokens, usage.reasoning_tokens), (None, None));
    for details in ["null", "\"\"", "0"] {
        let text = format!(r#"{{"prompt_tokens_details":{details},"prompt_tokens":5}}"#);
        assert_eq!(read(&text).unwrap().prompt_tokens, 5, "{details}");
    }
}

#[test]
fn deepseeks_cache_hits_stand_in_for_cached_tokens() {
    let cached = |text: &str| read(text).unwrap().cached_tokens;
    assert_eq!(cached(r#"{"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":1}"#), Some(6));
    assert_eq!(
        cached(r#"{"prompt_cache_hit_tokens":6,"prompt_tokens_details":{"cached_tokens":0}}"#),
        Some(0)
    );
}
