//! Client dialects that are a backend's as well: what their encoders write is read by the decoder of the same dialect as it was meant
//! (`properties`, generated; `corpus`, recorded), and their requests are read, or refused, whatever they are (`requests`). An absent
//! corpus is said and passed over.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod properties;
#[cfg(test)]
#[path = "../support/recorded.rs"]
mod recorded;
#[cfg(test)]
#[path = "../support/replies.rs"]
mod replies;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod said;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
use tidegate_wire::{
    client::{ClientDialect, Operation, StreamForm},
    host::{Dialect, ReplyPlan},
};

/// A client dialect, and the backend dialect that is the same.
#[cfg(test)]
type Pair = (ClientDialect, Dialect);

/// Those whose streams can be read by their own decoder.
#[cfg(test)]
const PAIRS: [Pair; 2] = [
    (ClientDialect::Gemini(StreamForm::Events), Dialect::Gemini),
    (ClientDialect::BedrockConverse, Dialect::BedrockConverse),
];

#[cfg(test)]
fn plan(client: ClientDialect, dialect: Dialect, streaming: bool, choices: u32) -> ReplyPlan {
    ReplyPlan {
        client,
        operation: Operation::Generate,
        dialect,
        streaming,
        include_usage: true,
        choices,
        model: "m".to_owned(),
        emulation: tidegate_wire::host::Emulation::default(),
        response: tidegate_wire::host::ResponseFacts::default(),
    }
}
