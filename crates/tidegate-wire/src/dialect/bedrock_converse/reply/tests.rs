use serde_json::json;

use super::*;
use crate::{ErrorClass, hub::Usage};

fn frame(name: &str, payload: &serde_json::Value) -> (String, Vec<u8>) {
    (name.to_owned(), payload.to_string().into_bytes())
}

fn decode(frames: &[(String, Vec<u8>)]) -> (Vec<Event>, Result<(), WireError>) {
    let mut decoder = ConverseDecoder::new();
    let mut events = Vec::new();
    for (name, payload) in frames {
        let frame = Frame::EventStream { message_type: "event", name, payload };
        if let Err(error) = decoder.frame(frame, &mut events) {
            return (events, Err(error));
        }
    }
    let outcome = decoder.finish(&mut events);
    (events, outcome)
}

fn finish_of(reason: &str) -> Vec<Event> {
    let frames = [
        frame("messageStart", &json!({"role": "assistant"})),
        frame("messageStop", &json!({"stopReason": reason})),
        frame("metadata", &json!({"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}})),
    ];
    let (events, outcome) = decode(&frames);
    assert_eq!(outcome, Ok(()));
    events
}

#[test]
fn stop_reasons_are_mapped() {
    for (reason, expected) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("tool_use", FinishReason::ToolCalls),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("guardrail_intervened", FinishReason::ContentFilter),
        ("content_filtered", FinishReason::ContentFilter),
        ("newer", FinishReason::Other("newer".to_owned())),
    ] {
        let finish = Event::Finish { choice: 0, reason: expected };
        assert!(finish_of(reason).contains(&finish), "{reason}");
    }
}

#[test]
fn malformed_stops_are_failures_and_never_a_finish_o5() {
    for reason in ["malformed_model_output", "malformed_tool_use", "malformed_by_a_newer_model", "error"] {
        let events = finish_of(reason);
        assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. })), "{reason}");
        assert!(matches!(events.last(), Some(Event::Error(_))), "{reason}");
        assert!(
            events.iter().any(|event| matches!(event, Event::Usage(_))),
            "{reason}: A15, usage is not lost"
        );
    }
}

/// The first is kept: what came before it has been delivered as its answer.
#[test]
fn a_second_stop_is_passed_over() {
    let stop = |reason: &str| frame("messageStop", &json!({"stopReason": reason}));
    let metadata = frame("metadata", &json!({}));
    for second in ["max_tokens", "malformed_tool_use"] {
        let (events, outcome) = decode(&[stop("end_turn"), stop(second), metadata.clone()]);
        assert_eq!(outcome, Ok(()));
        let finishes = events.iter().filter(|event| matches!(event, Event::Finish { .. })).count();
        assert_eq!((finishes, events.last()), (1, Some(&Event::End)), "{second}");
    }
    let (events, _) = decode(&[stop("malformed_tool_use"), stop("end_turn"), metadata]);
    assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. })));
    assert!(matches!(events.last(), Some(Event::Error(_))));
}

#[test]
fn metadata_without_counts_gives_no_usage_rather_than_zero_a4() {
    let frames = [
        frame("messageStart", &json!({"role": "assistant"})),
        frame("messageStop", &json!({"stopReason": "end_turn"})),
        frame("metadata", &json!({"usage": {"inputTokens": 1}})),
    ];
    let (events, outcome) = decode(&frames);
    assert_eq!(outcome, Ok(()));
    assert!(!events.iter().any(|event| matches!(event, Event::Usage(_))));
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn explicit_zeros_stay_zeros_a4() {
    let raw = json!({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0, "cacheReadInputTokens": 0});
    let usage = payload::usage(raw.as_object().unwrap().clone()).unwrap();
    let raw = usage.raw.clone();
    assert_eq!(usage, Usage { cached_tokens: Some(0), raw, ..Usage::default() });
}

#[test]
fn cache_counts_in_the_older_spelling_are_read() {
    let raw = json!({"inputTokens": 2, "outputTokens": 3, "cacheReadInputTokenCount": 5,
        "cacheWriteInputTokenCount": 7});
    let usage = payload::usage(raw.as_object().unwrap().clone()).unwrap();
    assert_eq!((usage.prompt_tokens, usage.total_tokens), (14, 17));
    assert_eq!((usage.cached_tokens, usage.cache_write_tokens), (Some(5), Some(7)));
}

#[test]
fn a_stream_of_no_frames_is_truncated() {
    let (events, outcome) = decode(&[]);
    assert!(events.is_empty());
    assert_eq!(outcome.unwrap_err().class(), ErrorClass::Truncated);
}

#[test]
fn interleaved_blocks_keep_their_tools_apart() {
    let start = |block: u64, id: &str| {
        frame(
            "contentBlockStart",
            &json!({"contentBlockIndex": block, "start": {"toolUse": {"toolUseId": id, "name": "n"}}}),
        )
    };
    let piece = |block: u64, text: &str| {
        frame(
            "contentBlockDelta",
            &json!({"contentBlockIndex": block, "delta": {"toolUse": {"input": text}}}),
        )
    };
    let (events, _) = decode(&[start(3, "a"), start(5, "b"), piece(3, "{"), piece(5, "["), piece(3, "}")]);
    let pieces: Vec<(u32, &str)> = events
        .iter()
        .filter_map(|event| match event {
            Event::ToolCallArguments { index, fragment, .. } => Some((*index, fragment.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [(0, "{"), (1, "["), (0, "}")]);
}

#[test]
fn a_payload_of_the_wrong_type_is_a_protocol_error_that_names_the_frame() {
    let (_, outcome) = decode(&[frame("contentBlockDelta", &json!({"delta": {"text": 5}}))]);
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Protocol);
    assert!(error.message().contains("contentBlockDelta"), "{error}");
}

#[test]
fn frames_of_other_framings_are_protocol_errors() {
    for frame in [Frame::Line(b"{}"), Frame::Sse { event: "message", data: "{}" }] {
        let outcome = ConverseDecoder::new().frame(frame, &mut Vec::new());
        assert_eq!(outcome.unwrap_err().class(), ErrorClass::Protocol);
    }
}
