//! What rows are put together from: the beginnings that most of them share, and the parts of URLs that are filled in.

use super::{AbortBilling, AuthScheme, BillingSource, Dialect, HostRow, Quirk, Services, Variables};

/// A vendor that speaks OpenAI's chat completions and takes a bearer key; what a row doesn't say is as here.
pub(super) const CHAT: HostRow = HostRow {
    name: "",
    aliases: &[],
    dialect: Dialect::OpenaiChat,
    auth: AuthScheme::Bearer,
    entra_scope: None,
    google_scope: None,
    default_base_url: None,
    variables: keys(&[], &[]),
    abort_stops_billing: AbortBilling::Unknown,
    billing_source: BillingSource::Unknown,
    renames: &[],
    lacks: &[],
    services: Services::OpenAi,
    lacks_operations: &[],
    responses: None,
    quirks: &[],
};

/// A server of the operator's own that speaks the same.
pub(super) const SERVER: HostRow = HostRow { quirks: &[Quirk::OwnServer], ..CHAT };

/// Variables of a key and of a URL, preferred ones first.
pub(super) const fn keys(api_key: &'static [&'static str], base_url: &'static [&'static str]) -> Variables {
    Variables { api_key, token: &[], base_url, api_version: &[], region: &[], account: &[] }
}

/// Knows the limit on tokens only by its older name (LiteLLM 1.109.1 maps it for these hosts).
pub(super) const MAX_TOKENS: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

/// OpenRouter lists for which providers an abort stops the bill.
pub(super) const OPENROUTER_LISTS: BillingSource =
    BillingSource::Reported("OpenRouter's list of providers that support cancellation");

/// Domain of AWS's endpoints in a region: `{aws_domain}`.
pub(super) fn aws_domain(region: &str) -> &'static str {
    let partition = AWS_DOMAINS.iter().find(|(prefix, _)| region.starts_with(prefix));
    partition.map_or("amazonaws.com", |(_, domain)| domain)
}

/// Domain of Vertex AI in a location (WIRE facts, "Gemini and Vertex"): `{vertex_domain}`.
pub(super) fn vertex_domain(location: &str) -> String {
    match location {
        "global" => "aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("aiplatform.{location}.rep.googleapis.com"),
        region => format!("{region}-aiplatform.googleapis.com"),
    }
}

/// Google's SDK says that an aborted request is still charged.
pub(super) const GOOGLE_CHARGES: BillingSource =
    BillingSource::Documented("js-genai, `abortSignal`: client-side only, usage is still charged");

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
