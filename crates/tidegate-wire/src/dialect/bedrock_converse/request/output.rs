//! `additionalModelRequestFields` and `outputConfig`: what the caller gave in Bedrock's own words, joined with what its
//! other parameters come to.

use serde_json::{Map, Value, json};

use crate::{
    WireError,
    dialect::answer_tool::Forcing,
    hub::{ChatRequest, Extras, ResponseFormat},
};

use super::{ModelFamily, own, unsupported};

pub(super) fn additional_fields(
    request: &ChatRequest,
    family: ModelFamily,
    thinking: Option<(&'static str, Value)>,
) -> Result<Extras, WireError> {
    let name = "additionalModelRequestFields";
    let mut fields = own_object(request, name)?;
    if let Some(top_k) = &request.sampling.top_k {
        join_top_k(&mut fields, name, family, Value::Number(top_k.clone()))?;
    }
    if let Some((field, value)) = thinking {
        join(&mut fields, name, field, value, "reasoning_effort")?;
    }
    Ok(fields)
}

/// Nova takes it in an `inferenceConfig` of its own (Amazon Nova user guide, "Invoke API and Converse API"). Other families
/// get it as Claude does, which is all that is known of them; Bedrock refuses it for a model without.
fn join_top_k(fields: &mut Extras, object: &str, family: ModelFamily, top_k: Value) -> Result<(), WireError> {
    if !family.is_nova() {
        return join(fields, object, "top_k", top_k, "top_k");
    }
    let config = fields.entry("inferenceConfig").or_insert_with(|| json!({}));
    let Value::Object(config) = config else {
        let name = format!("{object}.inferenceConfig");
        return Err(WireError::bad_request(format!("`{name}` must be an object")).with_param(name));
    };
    join(config, &format!("{object}.inferenceConfig"), "topK", top_k, "top_k")
}

pub(super) fn output_config(
    request: &ChatRequest,
    effort: Option<&'static str>,
) -> Result<Extras, WireError> {
    let name = "outputConfig";
    let mut config = own_object(request, name)?;
    if let Some(effort) = effort {
        join(&mut config, name, "effort", json!(effort), "reasoning_effort")?;
    }
    if let Some(format) = text_format(request.response_format.as_ref())? {
        join(&mut config, name, "textFormat", format, "response_format")?;
    }
    Ok(config)
}

/// How a model that can't answer in the form that is asked for is brought to call a tool with it. Converse knows a schema, with
/// Claude from 4.5 on and with open-weight models (Bedrock user guide, "Get validated JSON results from models"), and no JSON without
/// one.
pub(crate) fn needs_answer_tool(request: &ChatRequest, model: &str) -> Option<Forcing> {
    let family = ModelFamily::of(model);
    let without_choice = || TAKE_NO_CHOICE.iter().any(|mark| model.contains(mark));
    let lacks = match &request.response_format {
        Some(ResponseFormat::JsonObject) => true,
        Some(ResponseFormat::JsonSchema { schema: Some(_), .. }) => match family {
            ModelFamily::Claude(claude) => !claude.takes_schemas(),
            ModelFamily::Nova | ModelFamily::Nova2 => true,
            ModelFamily::GptOss | ModelFamily::Gpt => false,
            ModelFamily::Other => without_choice(),
        },
        _ => false,
    };
    let forcing = match family {
        ModelFamily::Claude(claude) => claude.forcing(request.reasoning_effort.as_ref()),
        ModelFamily::Nova | ModelFamily::Nova2 => Forcing::Can,
        // An ARN may hide any of them.
        _ => Forcing::Asked,
    };
    lacks.then_some(forcing)
}

/// Families that have tools and neither schemas nor a choice of tools (Converse's table of features).
const TAKE_NO_CHOICE: [&str; 4] = ["meta.llama", "cohere.command", "ai21.jamba", "amazon.titan"];

/// Bedrock wants the schema as a string, and always follows it strictly.
fn text_format(format: Option<&ResponseFormat>) -> Result<Option<Value>, WireError> {
    let (name, description, schema) = match format {
        None | Some(ResponseFormat::Text) => return Ok(None),
        Some(ResponseFormat::JsonSchema { name, description, schema, .. }) => (name, description, schema),
        Some(ResponseFormat::JsonObject) => {
            return Err(unsupported("response_format", "it needs a schema; use `json_schema`"));
        }
        Some(ResponseFormat::Opaque(_)) => {
            return Err(unsupported("response_format", "it knows text and `json_schema`"));
        }
    };
    let Some(schema) = schema else {
        return Err(unsupported("response_format.json_schema.schema", "it needs the schema itself"));
    };
    let mut json_schema = Map::new();
    json_schema.insert("name".to_owned(), json!(name));
    if let Some(description) = description {
        json_schema.insert("description".to_owned(), json!(description));
    }
    json_schema.insert("schema".to_owned(), json!(schema.to_string()));
    Ok(Some(json!({"type": "json_schema", "structure": {"jsonSchema": json_schema}})))
}

fn own_object(request: &ChatRequest, name: &str) -> Result<Extras, WireError> {
    match own(&request.extras, name) {
        None => Ok(Extras::new()),
        Some(Value::Object(fields)) => Ok(fields.clone()),
        Some(_) => Err(WireError::bad_request(format!("`{name}` must be an object")).with_param(name)),
    }
}

/// Adds what `param` comes to, unless the caller has said something else in Bedrock's own words.
fn join(fields: &mut Extras, object: &str, name: &str, value: Value, param: &str) -> Result<(), WireError> {
    match fields.get(name) {
        Some(given) if *given != value => {
            Err(WireError::bad_request(format!("`{param}` contradicts `{object}.{name}`")).with_param(param))
        }
        _ => {
            fields.insert(name.to_owned(), value);
            Ok(())
        }
    }
}
