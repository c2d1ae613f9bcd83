//! Digests of what a reply said.

use serde_json::{Map, Value, json};
use tidegate_wire::hub::Event;

/// What events say, in the form of the corpus' `expect.json`.
pub(crate) fn digest(events: &[Event]) -> Value {
    let mut answers: Vec<Map<String, Value>> = Vec::new();
    let mut usage = Value::Null;
    let mut filtered = false;
    for event in events {
        match event {
            Event::Text { choice, text } => append(answer(&mut answers, *choice), "text", text),
            Event::Reasoning { choice, text } => append(answer(&mut answers, *choice), "reasoning", text),
            Event::Refusal { choice, text } => append(answer(&mut answers, *choice), "refusal", text),
            Event::ToolCallStart { choice, id, name, .. } => {
                let calls = answer(&mut answers, *choice)["tool_calls"].as_array_mut().unwrap();
                calls.push(json!({ "id": id, "name": name, "arguments": "" }));
            }
            Event::ToolCallArguments { choice, index, fragment } => {
                let calls = &mut answer(&mut answers, *choice)["tool_calls"];
                append(calls[*index as usize].as_object_mut().unwrap(), "arguments", fragment);
            }
            Event::Finish { choice, reason } => {
                answer(&mut answers, *choice).insert("finish_reason".into(), reason.as_openai().into());
            }
            Event::ChoiceExtra { choice, .. } => {
                answer(&mut answers, *choice);
            }
            Event::ReplyExtra { name, .. } => filtered |= *name == "prompt_filter_results",
            Event::Usage(seen) => usage = serde_json::from_str(seen.raw.as_deref().unwrap()).unwrap(),
            _ => {}
        }
    }
    answers.sort_by_key(|answer| answer["index"].as_u64());
    json!({ "choices": answers, "usage": usage, "prompt_filter_results": filtered })
}

fn answer(answers: &mut Vec<Map<String, Value>>, choice: u32) -> &mut Map<String, Value> {
    let at = answers.iter().position(|answer| answer["index"] == choice).unwrap_or_else(|| {
        let new = json!({ "index": choice, "text": "", "reasoning": "", "refusal": "", "tool_calls": [],
            "finish_reason": null });
        answers.push(new.as_object().unwrap().clone());
        answers.len() - 1
    });
    &mut answers[at]
}

fn append(fields: &mut Map<String, Value>, name: &str, text: &str) {
    let Some(Value::String(before)) = fields.get_mut(name) else { panic!("{name} is no text") };
    before.push_str(text);
}
