//! Settings: `inferenceConfig`, `additionalModelRequestFields`, `outputConfig`, `serviceTier`, `requestMetadata`.

use serde_json::Value;

use crate::{
    WireError,
    dialect::object::{Object, invalid, missing, wrong_type},
    hub::{ChatRequest, Limits, ReasoningEffort, ResponseFormat},
};

/// What no other backend has stays under its path, to be refused by name.
pub(super) fn decode(fields: &mut Object, request: &mut ChatRequest) -> Result<(), WireError> {
    let mut config = Object::within(fields, "inferenceConfig")?;
    request.limits = Limits {
        max_output_tokens: config.integer("maxTokens", Value::as_u64)?,
        legacy_max_tokens: true,
        stop: stop_sequences(&mut config)?,
        n: None,
    };
    request.sampling.temperature = config.number("temperature")?;
    request.sampling.top_p = config.number("topP")?;
    carry(config, request);
    request.metadata = fields.object("requestMetadata")?.unwrap_or_default();
    service_tier(fields, request)?;
    let effort = output(fields, request)?;
    request.reasoning_effort = additional(fields, request, effort)?;
    Ok(())
}

fn stop_sequences(config: &mut Object) -> Result<Vec<String>, WireError> {
    let path = config.path_of("stopSequences");
    let stops = config.array("stopSequences")?.unwrap_or_default().into_iter().enumerate();
    stops
        .map(|(at, stop)| match stop {
            Value::String(stop) => Ok(stop),
            other => Err(wrong_type(&format!("{path}[{at}]"), "a string", &other)),
        })
        .collect()
}

/// `default` is what happens unless something is asked for.
fn service_tier(fields: &mut Object, request: &mut ChatRequest) -> Result<(), WireError> {
    let mut tier = Object::within(fields, "serviceTier")?;
    if let Some(kind) = tier.string("type")?.filter(|kind| kind != "default") {
        request.extras.insert("service_tier".to_owned(), kind.into());
    }
    Ok(())
}

fn output(fields: &mut Object, request: &mut ChatRequest) -> Result<Option<ReasoningEffort>, WireError> {
    let mut config = Object::within(fields, "outputConfig")?;
    let effort = config.string("effort")?.map(|effort| ReasoningEffort::of_openai(&effort));
    if let Some(format) = config.take("textFormat") {
        let path = config.path_of("textFormat.structure.jsonSchema");
        let Some(schema) = format.pointer("/structure/jsonSchema") else { return Err(missing(&path)) };
        let mut fields = Object::new(schema.clone(), &path)?;
        let text = fields.string("schema")?.ok_or_else(|| missing(&fields.path_of("schema")))?;
        let schema = serde_json::from_str(&text)
            .map_err(|error| invalid(&fields.path_of("schema"), &format!("it is not JSON: {error}")))?;
        request.response_format = Some(ResponseFormat::JsonSchema {
            name: fields.string("name")?.unwrap_or_else(|| "answer".to_owned()),
            description: fields.string("description")?,
            schema: Some(schema),
            // Bedrock always follows it strictly.
            strict: Some(true),
        });
    }
    carry(config, request);
    Ok(effort)
}

/// Parameters of the model's own: those of Claude and Nova that others have, too.
fn additional(
    fields: &mut Object,
    request: &mut ChatRequest,
    effort: Option<ReasoningEffort>,
) -> Result<Option<ReasoningEffort>, WireError> {
    let mut own = Object::within(fields, "additionalModelRequestFields")?;
    let top_k = match own.number("top_k")? {
        None => own.number("topK")?,
        top_k => top_k,
    };
    request.sampling.top_k = match top_k {
        None => {
            let mut nova = Object::within(&mut own, "inferenceConfig")?;
            let top_k = nova.number("topK")?;
            carry(nova, request);
            top_k
        }
        top_k => top_k,
    };
    let told = own.string("reasoning_effort")?.map(|effort| ReasoningEffort::of_openai(&effort));
    let thinking = match own.take("thinking") {
        None => own.take("reasoning_config"),
        thinking => thinking,
    };
    let thinking = thinking.map(|value| thinking_level(value, &own.path_of("thinking"))).transpose()?;
    carry(own, request);
    Ok(effort.or(told).or(thinking.flatten()))
}

/// As Claude is told on any host: a budget becomes the level that would make it.
fn thinking_level(value: Value, path: &str) -> Result<Option<ReasoningEffort>, WireError> {
    let mut thinking = Object::new(value, path)?;
    let kind = thinking.string("type")?.ok_or_else(|| missing(&thinking.path_of("type")))?;
    let budget = thinking.integer("budget_tokens", Value::as_u64)?;
    Ok(match (&*kind, budget) {
        ("disabled", _) => None,
        ("enabled", Some(..2048)) => Some(ReasoningEffort::Low),
        ("enabled", Some(2048..4096)) => Some(ReasoningEffort::Medium),
        _ => Some(ReasoningEffort::High),
    })
}

fn carry(object: Object, request: &mut ChatRequest) {
    let path = object.path.clone();
    let left = object.rest().into_iter().filter(|(_, value)| !value.is_null());
    request.extras.extend(left.map(|(name, value)| (format!("{path}.{name}"), value)));
}
