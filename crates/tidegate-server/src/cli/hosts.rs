//! `tidegate hosts`: the table of hosts as the Markdown that `docs/hosts.md` is; a test compares the two.
//!
//! Says what the table says and nothing else. Called by the command line.

use std::fmt::{self, Write};

use tidegate_wire::host::{
    AbortBilling, AuthScheme, BillingSource, Dialect, HOSTS, HostRow, Quirk, Variables,
};

/// The page. Its `Display` ends with a line end.
pub(super) struct Page;

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for host in HOSTS {
            write_host(f, host)?;
        }
        f.write_str(BETWEEN)?;
        HOSTS.iter().try_for_each(|host| write_bill(f, host))?;
        f.write_str(RESPONSES)?;
        let known = HOSTS.iter().filter_map(|host| Some((host.name, host.responses?)));
        known.into_iter().try_for_each(|(name, source)| writeln!(f, "| `{name}` | {source} |"))
    }
}

fn write_host(f: &mut impl Write, host: &HostRow) -> fmt::Result {
    let mut names = format!("`{}`", host.name);
    for alias in host.aliases {
        write!(names, ", `{alias}`")?;
    }
    let url = host.default_base_url.map_or_else(|| "to be given".to_owned(), |url| format!("`{url}`"));
    let (dialect, key) = (dialect(host.dialect), auth(host));
    writeln!(f, "| {names} | {dialect} | {url} | {key} | {} | {} |", variables(host), quirks(host))
}

fn write_bill(f: &mut impl Write, host: &HostRow) -> fmt::Result {
    let stops = match host.abort_stops_billing {
        AbortBilling::Stops => "yes",
        AbortBilling::RunsOn => "no",
        AbortBilling::Unknown => "unknown",
    };
    let source = match host.billing_source {
        BillingSource::Documented(source) => format!("documented: {source}"),
        BillingSource::Reported(source) => format!("reported: {source}"),
        BillingSource::Unknown if host.has(Quirk::OwnServer) => "your own server; not known".to_owned(),
        BillingSource::Unknown => "not known".to_owned(),
    };
    writeln!(f, "| `{}` | {stops} | {source} |", host.name)
}

fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "openai-chat",
        Dialect::OpenaiResponses => "openai-responses",
        Dialect::AnthropicMessages => "anthropic-messages",
        Dialect::BedrockConverse => "bedrock-converse",
        Dialect::BedrockInvoke => "bedrock-invoke",
        Dialect::Gemini => "gemini",
        Dialect::VertexMessages => "vertex-messages",
        Dialect::CohereChat => "cohere-chat",
        Dialect::Ollama => "ollama",
    }
}

fn auth(host: &HostRow) -> &'static str {
    match host.auth {
        AuthScheme::Bearer if host.has(Quirk::OwnServer) => "bearer, if any",
        AuthScheme::Bearer => "bearer",
        AuthScheme::Azure => "`api-key`, or bearer token",
        AuthScheme::Anthropic => "`x-api-key`, or bearer token",
        AuthScheme::Google => "`x-goog-api-key`, or bearer token",
        AuthScheme::Aws { .. } => "SigV4, or bearer",
    }
}

/// Each setting's variables, the preferred one first.
fn variables(host: &HostRow) -> String {
    let Variables { api_key, token, base_url, api_version, region, account } = &host.variables;
    let account_name = host.account_name();
    let settings = [
        ("key", api_key),
        ("token", token),
        ("URL", base_url),
        ("API version", api_version),
        ("region", region),
        (account_name, account),
    ];
    let named = |(setting, names): &(&str, &&[&str])| format!("{setting}: `{}`", names.join("`, `"));
    let given: Vec<String> = settings.iter().filter(|(_, names)| !names.is_empty()).map(named).collect();
    given.join("; ")
}

fn quirks(host: &HostRow) -> String {
    // Only OpenAI's dialect is spoken below `/v1`.
    let shown = |quirk: &&Quirk| **quirk != Quirk::OwnServer || host.dialect == Dialect::OpenaiChat;
    let quirks = host.quirks.iter().filter(shown);
    let mut said: Vec<String> = quirks.map(|quirk| quirk_text(*quirk).to_owned()).collect();
    said.extend(host.renames.iter().map(|(name, own)| format!("`{name}` is sent as `{own}`")));
    said.extend(host.lacks.iter().map(|name| format!("`{name}` is refused")));
    said.join("; ")
}

fn quirk_text(quirk: Quirk) -> &'static str {
    match quirk {
        Quirk::RenamesMaxTokens => "`max_tokens` of reasoning models is sent as `max_completion_tokens`",
        Quirk::RefusesForeignFields => "messages go without cache points and without earlier reasoning",
        Quirk::DatesStreamOptions => "`stream_options` only from API version 2024-09-01-preview on",
        Quirk::ReportsUsageUnasked => "usage in streams without asking",
        Quirk::EndsWithoutDone => "streams end without `[DONE]`",
        Quirk::NamesReasoningShort => "reasoning is called `reasoning`",
        Quirk::BridgesToResponses => "some requests go to its Responses API ([responses.md](responses.md))",
        Quirk::ServesClaude => "Claude by Anthropic's own API, too",
        Quirk::OwnServer => "a base URL without a path gets `/v1`",
    }
}

const HEAD: &str = "\
# Hosts

Made by `cargo run -- hosts > docs/hosts.md` from the table in `crates/tidegate-wire/src/host/rows.rs`; do not edit.

The name of a host, or one of its other names, is the first part of a model's name: `groq/MODEL`. In a configuration file it is the
`kind` of a host ([configuration.md](configuration.md)); without a file, a host is there as soon as its variables are. Of several
variables for one setting the first that is set counts.

| Host | Dialect | Base URL | Key | Variables | What is different |
| --- | --- | --- | --- | --- | --- |
";

const BETWEEN: &str = "
## Whether closing the connection stops the bill

Tidegate closes the connection of every backend alike. What the vendor then bills is the vendor's; the record of each call says which
of these it was.

| Host | Stops | How that is known |
| --- | --- | --- |
";

const RESPONSES: &str = "
## Which hosts have the Responses API

Callers of `/v1/responses` are relayed to these, and translated for all others; a host's setting `responses` says otherwise
([responses.md](responses.md)).

| Host | How that is known |
| --- | --- |
";

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn the_page_in_the_repository_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hosts.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == Page.to_string(), "stale: cargo run -- hosts > docs/hosts.md");
    }
}
