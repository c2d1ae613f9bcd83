//! Header fields of a backend's reply that are the caller's to see: what is left of its rate limits, in the form that the
//! caller's clients read, how long the backend took, and its id of the request.
//!
//! Everything else stays here: cookies, names of accounts and of servers. Called by the gateway for replies and refusals alike.

use std::time::{Duration, SystemTime};

use aws_smithy_types::{DateTime, date_time::Format};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ClientDialect;

/// Whether [`ClientDialect::reply_headers`] looks at a header field of this name, in whatever case.
pub fn is_of_use(name: &str) -> bool {
    let begins = |with: &str| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    begins(OPENAI) || begins(ANTHROPIC) || REQUEST_IDS.into_iter().any(is) || is(PROCESSING)
}

impl ClientDialect {
    /// What a caller gets to see of the header fields of a backend's reply, whichever backend it is. `now` is the wall clock's:
    /// some say how long it is until a limit is whole again, and others when.
    pub fn reply_headers(self, upstream: &HeaderMap, now: SystemTime) -> HeaderMap {
        let mut told = HeaderMap::new();
        for (name, value) in upstream {
            if let Some((name, value)) = self.limit(name.as_str(), value, now) {
                told.insert(name, value);
            }
        }
        // Values are copied: those of a reply keep the buffer that its head was read into.
        let copied = |name: &str| HeaderValue::from_bytes(upstream.get(name)?.as_bytes()).ok();
        if let Some(took) = copied(PROCESSING) {
            told.insert(PROCESSING, took);
        }
        if let Some(id) = REQUEST_IDS.iter().find_map(|name| copied(name)) {
            told.insert("x-tidegate-upstream-request-id", id);
        }
        told
    }

    /// A field that tells of a rate limit, as this dialect's clients read it.
    fn limit(self, name: &str, value: &HeaderValue, now: SystemTime) -> Option<(HeaderName, HeaderValue)> {
        let anthropic = self == Self::AnthropicMessages;
        if let Some(rest) = name.strip_prefix(OPENAI) {
            let (part, of) = rest.split_once('-').filter(|(part, _)| OPENAI_PARTS.contains(part))?;
            if !anthropic {
                return field(name, value.as_bytes());
            }
            let name = format!("{ANTHROPIC}{}-{part}", SHARED.iter().find(|shared| **shared == of)?);
            match part {
                "limit" | "remaining" => field(&name, value.as_bytes()),
                "reset" => field(&name, moment(now + duration(value.to_str().ok()?)?)?.as_bytes()),
                _ => None,
            }
        } else {
            let (of, part) = name.strip_prefix(ANTHROPIC)?.rsplit_once('-')?;
            if anthropic {
                return field(name, value.as_bytes());
            }
            let name = format!("{OPENAI}{part}-{}", SHARED.iter().find(|shared| **shared == of)?);
            match part {
                "limit" | "remaining" => field(&name, value.as_bytes()),
                "reset" => {
                    let at = DateTime::from_str(value.to_str().ok()?, Format::DateTimeWithOffset).ok()?;
                    let left = SystemTime::try_from(at).ok()?.duration_since(now).unwrap_or_default();
                    field(&name, format!("{}s", left.as_secs_f64().ceil()).as_bytes())
                }
                _ => None,
            }
        }
    }
}

fn field(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, HeaderValue::from_bytes(value).ok()?))
}

/// As Anthropic writes it, in whole seconds.
fn moment(at: SystemTime) -> Option<String> {
    DateTime::from_secs(DateTime::from(at).secs()).fmt(Format::DateTime).ok()
}

/// A wait as OpenAI writes it (`1m2.5s`, `6ms`); a bare number is one of seconds, as Azure writes it. A day at most.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match rest.get(..letters)? {
                "h" => 3600.0,
                "m" => 60.0,
                "s" | "" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = rest.get(letters..)?;
    }
    Duration::try_from_secs_f64(seconds.min(86_400.0)).ok()
}

const OPENAI: &str = "x-ratelimit-";
/// What its fields tell. Azure has one that names the account's key.
const OPENAI_PARTS: [&str; 4] = ["limit", "remaining", "reset", "renewalperiod"];
const ANTHROPIC: &str = "anthropic-ratelimit-";
/// What both count.
const SHARED: [&str; 2] = ["requests", "tokens"];
const PROCESSING: &str = "openai-processing-ms";
/// Azure's own comes before what it was given.
const REQUEST_IDS: [&str; 4] = ["apim-request-id", "x-request-id", "request-id", "x-amzn-requestid"];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(client: ClientDialect, upstream: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let pairs = upstream
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_250);
        let headers = client.reply_headers(&pairs.collect(), now);
        let mut told: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        told.sort();
        told
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn limits_of_openai_are_read_by_its_own_clients_as_they_are() {
        let upstream = [
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-project-tokens", "9"),
            ("x-ratelimit-reset-tokens", "1m2.5s"),
        ];
        assert_eq!(told(ClientDialect::OpenaiChat, &upstream), pairs(&upstream));
    }

    #[test]
    fn limits_of_openai_are_read_by_anthropics_clients() {
        let upstream = [
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-tokens", "9"),
            ("x-ratelimit-remaining-project-tokens", "9"),
            ("x-ratelimit-reset-requests", "17"),
            ("x-ratelimit-reset-tokens", "1m2.5s"),
        ];
        let expected = [
            ("anthropic-ratelimit-requests-limit", "500"),
            ("anthropic-ratelimit-requests-reset", "2026-09-21T14:13:37Z"),
            ("anthropic-ratelimit-tokens-remaining", "9"),
            ("anthropic-ratelimit-tokens-reset", "2026-09-21T14:14:22Z"),
        ];
        assert_eq!(told(ClientDialect::AnthropicMessages, &upstream), pairs(&expected));
    }

    #[test]
    fn limits_of_anthropic_are_read_by_openais_clients() {
        let upstream = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-input-tokens-limit", "7"),
            ("anthropic-ratelimit-tokens-reset", "2026-09-21T14:14:22Z"),
            ("anthropic-ratelimit-requests-reset", "2020-01-01T00:00:00Z"),
        ];
        let expected = [
            ("x-ratelimit-limit-requests", "50"),
            ("x-ratelimit-reset-requests", "0s"),
            ("x-ratelimit-reset-tokens", "62s"),
        ];
        assert_eq!(told(ClientDialect::OpenaiChat, &upstream), pairs(&expected));
        assert_eq!(told(ClientDialect::AnthropicMessages, &upstream).len(), upstream.len());
    }

    #[test]
    fn what_is_not_the_callers_to_see_stays() {
        let upstream = [
            ("set-cookie", "a=b"),
            ("openai-organization", "org"),
            ("x-ratelimit-key", "account"),
            ("x-ratelimit-reset-requests", "soon"),
            ("x-request-id", "theirs"),
            ("apim-request-id", "azures"),
            ("openai-processing-ms", "12"),
        ];
        let expected = [("openai-processing-ms", "12"), ("x-tidegate-upstream-request-id", "azures")];
        assert_eq!(told(ClientDialect::AnthropicMessages, &upstream), pairs(&expected));
    }

    #[test]
    fn every_field_that_is_told_of_is_of_use() {
        let names =
            ["X-RateLimit-Limit-Tokens", "anthropic-ratelimit-tokens-limit", PROCESSING, "request-id"];
        assert!(names.into_iter().all(is_of_use) && !is_of_use("set-cookie") && !is_of_use("date"));
    }

    #[test]
    fn waits_are_read_in_every_form() {
        let ms = |text| duration(text).map(|wait| wait.as_millis());
        assert_eq!(
            [ms("6ms"), ms("1h1m1s"), ms("17.5s"), ms("3"), ms("99999999h")],
            [Some(6), Some(3_661_000), Some(17_500), Some(3_000), Some(86_400_000)]
        );
        assert_eq!([ms("-1s"), ms("s"), ms("1d"), ms("1..2s"), ms("²s")], [None; 5]);
    }
}
