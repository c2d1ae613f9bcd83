//! How events are gathered.

use serde_json::json;
use tidegate_wire::hub::{Event, FinishReason, Part, Reasoning, ReplyStart, ToolKind, Usage};

use super::{Accumulator, ChatResponse};

fn gathered(events: Vec<Event>) -> ChatResponse {
    let mut accumulator = Accumulator::default();
    for event in events {
        accumulator.event(event);
    }
    accumulator.into_response("call_1")
}

fn text(choice: u32, text: &str) -> Event {
    Event::Text { choice, text: text.to_owned() }
}

#[test]
fn pieces_of_two_answers_that_come_interleaved_stay_apart() {
    let reply = gathered(vec![
        Event::Start(ReplyStart {
            id: Some("r".to_owned()),
            model: Some("m".to_owned()),
            ..ReplyStart::default()
        }),
        text(1, "two "),
        text(0, "one "),
        text(1, "2"),
        text(0, "1"),
        Event::Finish { choice: 1, reason: FinishReason::Length },
        Event::Finish { choice: 0, reason: FinishReason::Stop },
        Event::Usage(Usage { total_tokens: 4, ..Usage::default() }),
        Event::End,
    ]);
    assert_eq!(reply.call_id, "call_1");
    assert_eq!((reply.id.as_deref(), reply.model.as_deref()), (Some("r"), Some("m")));
    assert_eq!(reply.text(), "one 1");
    assert_eq!(reply.answers[1].text, "two 2");
    assert_eq!(reply.answers[1].finish, Some(FinishReason::Length));
    assert_eq!(reply.usage.unwrap().total_tokens, 4);
}

#[test]
fn tool_calls_keep_their_arguments_apart_and_as_text() {
    let start = |index, id: &str| Event::ToolCallStart {
        choice: 0,
        index,
        id: id.to_owned(),
        name: "f".to_owned(),
        kind: ToolKind::Function,
    };
    let piece =
        |index, fragment: &str| Event::ToolCallArguments { choice: 0, index, fragment: fragment.to_owned() };
    let reply =
        gathered(vec![start(0, "a"), piece(0, "{\"x"), start(1, "b"), piece(0, "\":1"), piece(1, "{}")]);
    let arguments: Vec<&str> = reply.tool_calls().iter().map(|call| &*call.arguments).collect();
    assert_eq!(arguments, ["{\"x\":1", "{}"]);
}

#[test]
fn reasoning_goes_back_into_the_conversation_before_the_text_with_its_signature() {
    let reasoning = |text: &str| Event::Reasoning { choice: 0, text: text.to_owned() };
    let reply = gathered(vec![
        reasoning("hm, "),
        reasoning("so"),
        Event::ReasoningSignature { choice: 0, signature: "s".to_owned() },
        reasoning("again"),
        Event::ReasoningRedacted { choice: 0, data: "r".to_owned() },
        text(0, "yes"),
    ]);
    let block = |text: &str, signature: Option<&str>, redacted: Option<&str>| {
        Part::Reasoning(Reasoning {
            text: text.to_owned(),
            signature: signature.map(str::to_owned),
            redacted: redacted.map(str::to_owned),
        })
    };
    assert_eq!(
        reply.message().unwrap().parts,
        [
            block("hm, so", Some("s"), None),
            block("again", None, None),
            block("", None, Some("r")),
            Part::text("yes")
        ]
    );
}

#[test]
fn what_the_hub_does_not_model_is_put_together_again() {
    let extra = |name, value| Event::ChoiceExtra { choice: 0, name, value };
    let reply = gathered(vec![
        extra("logprobs", json!({ "content": [1], "refusal": null })),
        extra("logprobs", json!({ "content": [2, 3], "refusal": null })),
        extra("delta.audio", json!({ "id": "a", "data": "AA" })),
        extra("delta.audio", json!({ "data": "BB", "expires_at": 7 })),
        extra("native_finish_reason", json!("a")),
        extra("native_finish_reason", json!("b")),
        Event::ReplyExtra { name: "trace", value: json!({ "x": 1 }) },
    ]);
    assert_eq!(
        serde_json::Value::from(reply.answers[0].extras.clone()),
        json!({
            "logprobs": { "content": [1, 2, 3], "refusal": null },
            "delta.audio": { "id": "a", "data": "AABB", "expires_at": 7 },
            "native_finish_reason": "b",
        })
    );
    assert_eq!(reply.extras["trace"], json!({ "x": 1 }));
}

#[test]
fn o5_an_answer_without_a_finish_gets_none() {
    let reply = gathered(vec![text(0, "half")]);
    assert_eq!(reply.finish(), None);
}
