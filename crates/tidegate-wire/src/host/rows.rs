//! The vendors, one row each.

use super::{AbortBilling, AuthScheme, Dialect, HostRow, Quirk};

/// Every host that Tidegate knows.
pub static HOSTS: [HostRow; 3] = [
    HostRow {
        name: "openai",
        dialect: Dialect::OpenaiChat,
        auth: AuthScheme::Bearer,
        default_base_url: Some("https://api.openai.com/v1"),
        abort_stops_billing: AbortBilling::Stops,
        quirks: &[],
    },
    HostRow {
        name: "azure",
        dialect: Dialect::OpenaiChat,
        auth: AuthScheme::Azure,
        default_base_url: None,
        abort_stops_billing: AbortBilling::Stops,
        quirks: &[Quirk::RenamesMaxTokens, Quirk::DatesStreamOptions],
    },
    HostRow {
        name: "bedrock",
        dialect: Dialect::BedrockConverse,
        auth: AuthScheme::Aws { service: "bedrock" },
        default_base_url: Some("https://bedrock-runtime.{region}.amazonaws.com"),
        abort_stops_billing: AbortBilling::RunsOn,
        quirks: &[],
    },
];

/// The host of this name.
pub fn row(name: &str) -> Option<&'static HostRow> {
    HOSTS.iter().find(|row| row.name == name)
}
