use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::websocket::close_frame;

fn text(message: &str) -> Vec<u8> {
    frame(0x81, message.as_bytes(), None)
}

fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => frame.push(masked | length),
        _ => {
            frame.push(masked | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn usage(input: u64, output: u64) -> serde_json::Value {
    json!({
        "total_tokens": input + output, "input_tokens": input, "output_tokens": output,
        "input_token_details": {"text_tokens": input - 3, "audio_tokens": 3, "cached_tokens": 2,
            "cached_tokens_details": {"text_tokens": 2, "audio_tokens": 0}},
        "output_token_details": {"text_tokens": 1, "audio_tokens": output - 1},
    })
}

fn response_done(usage: &serde_json::Value, said: &str) -> Vec<u8> {
    let output = json!([{"type": "message", "content": [{"type": "output_audio", "transcript": said}]}]);
    let response = json!({"object": "realtime.response", "id": "resp_1", "output": output, "usage": usage});
    text(&json!({"type": "response.done", "event_id": "event_9", "response": response}).to_string())
}

fn created() -> Vec<u8> {
    text(r#"{"type":"response.created","event_id":"event_1","response":{"id":"resp_1","usage":null}}"#)
}

fn delta(words: &str) -> Vec<u8> {
    let event = json!({"type": "response.output_text.delta", "event_id": "event_2", "delta": words});
    text(&event.to_string())
}

/// A session: two responses that are over and one that is not.
fn session() -> Vec<Vec<u8>> {
    let hello = json!({"type": "session.created", "event_id": "event_0",
        "session": {"object": "realtime.session", "id": "sess_1", "model": "gpt-realtime", "tools": []}});
    vec![
        text(&hello.to_string()),
        created(),
        delta("Hello"),
        response_done(&usage(127, 148), "Hello"),
        created(),
        text(&json!({"type": "response.output_audio.delta", "delta": "A".repeat(8000)}).to_string()),
        response_done(&usage(200, 52), &"long ".repeat(30_000)),
        created(),
        delta("12345678"),
        text(r#"{"type":"rate_limits.updated","rate_limits":[]}"#),
    ]
}

#[test]
fn usage_of_responses_is_summed_up_with_its_details() {
    let mut observer = Observer::new(false);
    for event in &session()[..7] {
        assert_eq!(observer.backend(event), Passed { length: event.len(), end: None });
    }
    let progress = observer.take_progress();
    let usage = progress.usage.expect("usage");
    assert!(progress.usage_final, "no response is under way");
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (327, 200, 527));
    assert_eq!(usage.cached_tokens, Some(4));
    let raw: serde_json::Value = serde_json::from_str(&usage.raw.expect("raw")).expect("JSON");
    assert_eq!(raw["input_token_details"]["audio_tokens"], 6);
    assert_eq!(raw["input_token_details"]["cached_tokens_details"]["text_tokens"], 4);
    assert_eq!(raw["output_token_details"], json!({"text_tokens": 2, "audio_tokens": 198}));
    assert_eq!(progress.served_model.as_deref(), Some("gpt-realtime"));
    assert_eq!(progress.upstream_id.as_deref(), Some("sess_1"));
    assert_eq!(progress.content_events, 2);
}

#[test]
fn what_came_of_a_response_that_was_cut_short_counts_beside_what_was_reported() {
    let mut observer = Observer::new(false);
    for event in session() {
        observer.backend(&event);
    }
    assert!(observer.is_responding());
    let progress = observer.take_progress();
    assert!(!progress.usage_final);
    // 200 tokens were reported; eight bytes of text came behind them.
    assert_eq!(progress.content_bytes, 200 * BYTES_PER_TOKEN + 8);
}

#[test]
fn a_session_in_which_nothing_was_asked_has_used_nothing() {
    let mut observer = Observer::new(false);
    observer.backend(&session()[0]);
    assert!(!observer.has_begun());
    observer.backend(&created());
    assert!(observer.has_begun());
}

#[test]
fn audio_is_worth_its_time_and_not_its_bytes() {
    let mut observer = Observer::new(false);
    let audio = json!({"type": "response.audio.delta", "delta": "A".repeat(32_000 - 48)}).to_string();
    observer.backend(&text(&audio));
    assert_eq!(observer.progress().content_bytes, 40, "half a second is ten tokens");
    let append = json!({"audio": "A".repeat(64_000 - 48), "type": "input_audio_buffer.append"}).to_string();
    observer.caller(&frame(0x81, append.as_bytes(), Some([1, 2, 3, 4])));
    assert_eq!(observer.prompt_bytes(), append.len() as u64, "a type behind the audio is not looked for");
    let append = json!({"type": "input_audio_buffer.append", "audio": "A".repeat(64_000 - 48)}).to_string();
    let before = observer.prompt_bytes();
    observer.caller(&frame(0x81, append.as_bytes(), Some([1, 2, 3, 4])));
    assert_eq!(observer.prompt_bytes() - before, 40, "a second is ten tokens");
}

#[test]
fn a_transcribing_session_counts_what_its_transcripts_report() {
    let completed = json!({
        "type": "conversation.item.input_audio_transcription.completed", "transcript": "so",
        "usage": {"type": "tokens", "total_tokens": 22, "input_tokens": 13, "output_tokens": 9,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 13}},
    });
    for (transcribes, expected) in [(true, Some(9)), (false, None)] {
        let mut observer = Observer::new(transcribes);
        observer.backend(&text(&completed.to_string()));
        let usage = observer.take_progress().usage;
        assert_eq!(usage.map(|usage| usage.completion_tokens), expected);
    }
}

#[test]
fn usage_that_can_not_be_read_is_not_taken_for_all_of_it() {
    let mut observer = Observer::new(false);
    observer.backend(&response_done(&usage(10, 10), "a"));
    observer.backend(&created());
    observer.backend(&response_done(&usage(10, 10), &"x".repeat(2 * 1024 * 1024)));
    let progress = observer.take_progress();
    assert_eq!(progress.usage.expect("the first one's").total_tokens, 20);
    assert!(!progress.usage_final);
}

#[test]
fn a_response_without_usage_has_used_nothing() {
    let mut observer = Observer::new(false);
    observer.backend(&response_done(&usage(10, 10), "a"));
    observer.backend(&response_done(&serde_json::Value::Null, ""));
    let progress = observer.take_progress();
    assert!(progress.usage_final);
    assert_eq!(progress.usage.expect("usage").total_tokens, 20);
}

#[test]
fn a_usage_object_does_not_make_the_sum_large() {
    let mut observer = Observer::new(false);
    for round in 0..50 {
        let many: serde_json::Map<_, _> = (0..50).map(|n| (format!("n{round}_{n}"), json!(1))).collect();
        observer.backend(&response_done(&many.into(), "a"));
    }
    let raw = observer.take_progress().usage.and_then(|usage| usage.raw).expect("usage");
    assert!(raw.len() < 1000, "{raw}");
}

#[test]
fn a_close_frame_is_passed_on_and_what_comes_behind_it_is_not() {
    let mut observer = Observer::new(false);
    let bytes = [created(), close_frame(1001, "so long"), created()].concat();
    let passed = observer.backend(&bytes);
    assert_eq!(passed.length, bytes.len() - created().len());
    let close = Close { code: Some(1001), reason: "so long".to_owned() };
    assert!(close.is_orderly());
    assert_eq!(passed.end, Some(End::Closed(close)));
    assert!(observer.is_at_border());
    assert_eq!(observer.backend(&created()), Passed { length: 0, end: None });

    let mut observer = Observer::new(false);
    let passed = observer.caller(&frame(0x88, b"", Some([9; 4])));
    assert_eq!(passed, Passed { length: 6, end: Some(End::Closed(Close::default())) });
}

#[test]
fn of_bytes_that_break_the_protocol_the_frames_before_are_passed_on() {
    let mut observer = Observer::new(false);
    let bytes = [created(), vec![0x81, 0x80]].concat();
    let passed = observer.backend(&bytes);
    assert_eq!(passed.length, created().len());
    assert!(matches!(passed.end, Some(End::Wrong(_))), "{passed:?}");
    assert!(observer.is_at_border(), "a close frame may stand there");

    let mut observer = Observer::new(false);
    observer.backend(&[0x81]);
    let passed = observer.backend(&[0x80]);
    assert!(passed.length == 0 && matches!(passed.end, Some(End::Wrong(_))), "{passed:?}");
    assert!(!observer.is_at_border(), "half a header was passed on");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_session_is_seen_the_same_however_its_bytes_come(cuts in proptest::collection::vec(any::<usize>(), 0..40)) {
        let bytes = session().concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % bytes.len()).collect();
        cuts.sort_unstable();
        let mut whole = Observer::new(false);
        whole.backend(&bytes);
        let mut cut = Observer::new(false);
        let mut from = 0;
        for to in cuts.into_iter().chain([bytes.len()]) {
            prop_assert_eq!(cut.backend(&bytes[from..to]), Passed { length: to - from, end: None });
            from = to;
        }
        prop_assert_eq!(cut.take_progress(), whole.take_progress());
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        message in ".{0,200}",
    ) {
        let mut observer = Observer::new(true);
        observer.backend(&bytes);
        observer.caller(&bytes);
        let mut observer = Observer::new(false);
        observer.backend(&text(&message));
        observer.caller(&frame(0x81, message.as_bytes(), Some([0xff, 0, 3, 4])));
    }
}
