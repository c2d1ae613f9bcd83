//! The bedrock-converse dialect against recorded traffic (`corpus`, `recorded_requests`; absent corpus is said and passed
//! over) and against the project's own fixtures and generated input (`fixtures`, `properties`, `echo`).

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recorded_requests;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod summary;
