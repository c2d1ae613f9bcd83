//! A complete reply as `ModelResponse`.

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use serde_json::{Value, json};
use tidegate::{
    Answer, ChatResponse, FinishReason, ToolCall, Usage,
    hub::{Extras, Reasoning, ToolKind},
};

use crate::{attempts::Origin, chunks, convert, shapes::Shapes};

/// The reply as users of LiteLLM know it.
pub(crate) fn response<'py>(
    py: Python<'py>,
    response: ChatResponse,
    origin: &Origin,
) -> PyResult<Bound<'py, PyAny>> {
    let shapes = Shapes::of(py)?;
    let fields = PyDict::new(py);
    fields.set_item("id", response.id.as_deref().unwrap_or(&response.call_id))?;
    fields.set_item("created", response.created.unwrap_or_else(chunks::now))?;
    fields.set_item("model", response.model.as_deref().unwrap_or(&origin.model))?;
    let answers = PyList::empty(py);
    for answer in &response.answers {
        answers.append(choice(py, shapes, answer)?)?;
    }
    fields.set_item("choices", answers)?;
    if let Some(counts) = &response.usage {
        fields.set_item("usage", usage(py, counts)?)?;
    }
    extras(py, &response.extras, &fields)?;
    shapes.make(py, &shapes.model_response, fields)
}

/// Token counts, with all that the backend said of them where it speaks OpenAI's dialect.
pub(crate) fn usage<'py>(py: Python<'py>, usage: &Usage) -> PyResult<Bound<'py, PyAny>> {
    let shapes = Shapes::of(py)?;
    let raw = usage.raw.as_deref().filter(|raw| raw.contains("\"prompt_tokens\""));
    let raw = raw.and_then(|raw| serde_json::from_str::<Extras>(raw).ok());
    let fields = PyDict::new(py);
    for (name, value) in raw.unwrap_or_else(|| counted(usage)) {
        fields.set_item(&name, shapes.object(py, &shapes.usage_details, &value)?)?;
    }
    // A backend may leave one out.
    fields.set_item("prompt_tokens", usage.prompt_tokens)?;
    fields.set_item("completion_tokens", usage.completion_tokens)?;
    fields.set_item("total_tokens", usage.total_tokens)?;
    shapes.make(py, &shapes.usage, fields)
}

fn counted(usage: &Usage) -> Extras {
    let mut counts = Extras::new();
    let detail = |name: &str, count: Option<u64>| count.map(|count| (name.to_owned(), Value::from(count)));
    let prompt: Extras =
        [("cached_tokens", usage.cached_tokens), ("cache_write_tokens", usage.cache_write_tokens)]
            .into_iter()
            .filter_map(|(name, count)| detail(name, count))
            .collect();
    let completion: Extras = detail("reasoning_tokens", usage.reasoning_tokens).into_iter().collect();
    for (name, details) in [("prompt_tokens_details", prompt), ("completion_tokens_details", completion)] {
        if !details.is_empty() {
            counts.insert(name.to_owned(), details.into());
        }
    }
    counts
}

fn choice<'py>(py: Python<'py>, shapes: &Shapes, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("finish_reason", answer.finish.as_ref().map(FinishReason::as_openai))?;
    fields.set_item("index", answer.index)?;
    fields.set_item("message", message(py, shapes, answer)?)?;
    for (name, value) in answer.extras.iter().filter(|(name, _)| !name.starts_with("delta.")) {
        fields.set_item(name, choice_extra(py, name, value)?)?;
    }
    shapes.make(py, &shapes.choices, fields)
}

/// A field of an answer that the hub doesn't model.
pub(crate) fn choice_extra<'py>(py: Python<'py>, name: &str, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    if name == "logprobs" {
        let shapes = Shapes::of(py)?;
        return shapes.object(py, &shapes.logprobs, value);
    }
    convert::to_python(py, value)
}

fn message<'py>(py: Python<'py>, shapes: &Shapes, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    let silent = answer.text.is_empty() && !(answer.tool_calls.is_empty() && answer.refusal.is_empty());
    fields.set_item("content", (!silent).then_some(&*answer.text))?;
    fields.set_item("role", "assistant")?;
    if !answer.tool_calls.is_empty() {
        let calls = PyList::empty(py);
        for call in &answer.tool_calls {
            calls.append(tool_call(py, shapes, call)?)?;
        }
        fields.set_item("tool_calls", calls)?;
    }
    if !answer.refusal.is_empty() {
        fields.set_item("refusal", &*answer.refusal)?;
    }
    let thought: String = answer.reasoning.iter().map(|block| &*block.text).collect();
    if !thought.is_empty() {
        fields.set_item("reasoning_content", thought)?;
    }
    if answer.reasoning.iter().any(|block| block.signature.is_some() || block.redacted.is_some()) {
        let blocks: Value = answer.reasoning.iter().map(thinking_block).collect();
        fields.set_item("thinking_blocks", convert::to_python(py, &blocks)?)?;
    }
    for (name, value) in &answer.extras {
        if let Some(name) = name.strip_prefix("delta.") {
            fields.set_item(name, convert::to_python(py, value)?)?;
        }
    }
    shapes.make(py, &shapes.message, fields)
}

/// As it is to be given back on the next turn.
fn thinking_block(block: &Reasoning) -> Value {
    match &block.redacted {
        Some(data) => json!({ "type": "redacted_thinking", "data": data }),
        None => json!({ "type": "thinking", "thinking": block.text, "signature": block.signature }),
    }
}

fn tool_call<'py>(py: Python<'py>, shapes: &Shapes, call: &ToolCall) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("id", &call.id)?;
    let called = PyDict::new(py);
    called.set_item("name", &call.name)?;
    match call.kind {
        ToolKind::Function => {
            called.set_item("arguments", &call.arguments)?;
            fields.set_item("function", shapes.make(py, &shapes.function, called)?)?;
        }
        ToolKind::Custom => {
            called.set_item("input", &call.arguments)?;
            fields.set_item("type", "custom")?;
            fields.set_item("custom", shapes.make(py, &shapes.custom, called)?)?;
        }
    }
    shapes.make(py, &shapes.tool_call, fields)
}

fn extras(py: Python<'_>, extras: &Extras, fields: &Bound<'_, PyDict>) -> PyResult<()> {
    for (name, value) in extras {
        fields.set_item(name, convert::to_python(py, value)?)?;
    }
    Ok(())
}
