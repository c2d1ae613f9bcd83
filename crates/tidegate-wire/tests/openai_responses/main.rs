//! The openai-responses dialect against recorded traffic (`corpus`, `requests`; an absent corpus is said and passed over) and
//! against the project's own fixtures and generated input (`fixtures`, `properties`).

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod fixtures;
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
#[path = "../bedrock_converse/summary.rs"]
mod summary;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
use tidegate_wire::client::{ClientDialect, Operation};
#[cfg(test)]
use tidegate_wire::host::{Dialect, ReplyPlan};

#[cfg(test)]
fn plan(streaming: bool) -> ReplyPlan {
    ReplyPlan {
        client: ClientDialect::OpenaiChat,
        operation: Operation::Generate,
        dialect: Dialect::OpenaiResponses,
        streaming,
        include_usage: true,
        choices: 1,
        model: "m".to_owned(),
        emulation: tidegate_wire::host::Emulation::default(),
        response: tidegate_wire::host::ResponseFacts::default(),
    }
}
