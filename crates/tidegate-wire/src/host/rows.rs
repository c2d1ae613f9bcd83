//! The vendors, one row each.

use super::{AbortBilling, AuthScheme, Dialect, HostRow, Quirk};

/// Every host that Tidegate knows.
pub static HOSTS: [HostRow; 5] = [
    HostRow {
        name: "openai",
        dialect: Dialect::OpenaiChat,
        auth: AuthScheme::Bearer,
        default_base_url: Some("https://api.openai.com/v1"),
        abort_stops_billing: AbortBilling::Stops,
        quirks: &[Quirk::RefusesForeignFields],
    },
    HostRow {
        name: "azure",
        dialect: Dialect::OpenaiChat,
        auth: AuthScheme::Azure,
        default_base_url: None,
        abort_stops_billing: AbortBilling::Stops,
        quirks: &[Quirk::RenamesMaxTokens, Quirk::DatesStreamOptions, Quirk::RefusesForeignFields],
    },
    HostRow {
        name: "bedrock",
        dialect: Dialect::BedrockConverse,
        auth: AuthScheme::Aws { service: "bedrock" },
        default_base_url: Some("https://bedrock-runtime.{region}.{aws_domain}"),
        abort_stops_billing: AbortBilling::RunsOn,
        quirks: &[],
    },
    HostRow {
        name: "anthropic",
        dialect: Dialect::AnthropicMessages,
        auth: AuthScheme::Anthropic,
        default_base_url: Some("https://api.anthropic.com"),
        abort_stops_billing: AbortBilling::Stops,
        quirks: &[],
    },
    // Claude on Microsoft Foundry, at `https://NAME.services.ai.azure.com/anthropic`.
    HostRow {
        name: "azure-anthropic",
        dialect: Dialect::AnthropicMessages,
        auth: AuthScheme::Anthropic,
        default_base_url: None,
        abort_stops_billing: AbortBilling::Unknown,
        quirks: &[],
    },
];

/// The host of this name.
pub fn row(name: &str) -> Option<&'static HostRow> {
    HOSTS.iter().find(|row| row.name == name)
}

/// Domain of AWS's endpoints in a region: `{aws_domain}`.
pub(super) fn aws_domain(region: &str) -> &'static str {
    let partition = AWS_DOMAINS.iter().find(|(prefix, _)| region.starts_with(prefix));
    partition.map_or("amazonaws.com", |(_, domain)| domain)
}

/// Partitions that have a domain of their own, by the beginning of their regions' names. From the partitions that the AWS SDK
/// for Rust resolves endpoints with (aws-sdk-sts 1.124).
const AWS_DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];
