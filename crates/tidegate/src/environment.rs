//! Hosts from the environment variables that their users already have; the gateway reads the same ones.
//!
//! An empty variable counts as unset. A host that is only half there is left out, and what is missing is said when it is
//! called. Never quotes a value. Called by `client.rs`.

use crate::Host;

/// What the environment holds.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) hosts: Vec<(&'static str, Host)>,
    /// Hosts that are half there, and what they lack.
    pub(crate) lacking: Vec<(&'static str, &'static str)>,
}

/// Looks every variable up with `lookup`.
pub(crate) fn hosts(lookup: &dyn Fn(&str) -> Option<String>) -> Found {
    let search = Search { lookup };
    let mut found = Found::default();
    for (name, host) in
        [("openai", search.openai()), ("azure", search.azure()), ("bedrock", search.bedrock())]
    {
        match host {
            Half::Whole(host) => found.hosts.push((name, *host)),
            Half::Lacks(what) => found.lacking.push((name, what)),
            Half::Nothing => {}
        }
    }
    found
}

enum Half {
    Whole(Box<Host>),
    Lacks(&'static str),
    Nothing,
}

impl Half {
    fn whole(host: Host) -> Self {
        Self::Whole(Box::new(host))
    }
}

struct Search<'e> {
    lookup: &'e dyn Fn(&str) -> Option<String>,
}

impl Search<'_> {
    /// Without a key, the URL must lead to a server that wants none.
    fn openai(&self) -> Half {
        let key = self.first(&["OPENAI_API_KEY"]);
        let url = self.first(&["OPENAI_BASE_URL", "OPENAI_API_BASE"]);
        match (key, url) {
            (Some(key), Some(url)) => Half::whole(Host::openai(key).base_url(url)),
            (Some(key), None) => Half::whole(Host::openai(key)),
            (None, Some(url)) => Half::whole(Host::openai_compatible(url)),
            (None, None) => Half::Nothing,
        }
    }

    fn azure(&self) -> Half {
        let key = self.first(&["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"]);
        let token = self.first(&["AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN"]);
        let host = match (key, token, self.first(&["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"])) {
            // A key is the narrower of the two: it was made for this resource.
            (Some(key), _, Some(url)) => Host::azure(url, key),
            (None, Some(token), Some(url)) => Host::azure_token(url, token),
            (None, None, Some(_)) => return Half::Lacks("AZURE_API_KEY (or AZURE_AD_TOKEN) is not set"),
            (None, None, None) => return Half::Nothing,
            (_, _, None) => {
                return Half::Lacks("AZURE_API_BASE is not set, such as https://NAME.openai.azure.com");
            }
        };
        Half::whole(match self.first(&["AZURE_API_VERSION", "OPENAI_API_VERSION"]) {
            Some(version) => host.api_version(version),
            None => host,
        })
    }

    /// In the order of the AWS tools: the bearer key, the access key, the profile.
    fn bedrock(&self) -> Half {
        let region = self.first(&["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"]);
        if let Some(key) = self.first(&["AWS_BEARER_TOKEN_BEDROCK"]) {
            return match region {
                Some(region) => Half::whole(Host::bedrock(region, key)),
                None => Half::Lacks("AWS_REGION is not set, such as eu-central-1"),
            };
        }
        let keys = (self.first(&["AWS_ACCESS_KEY_ID"]), self.first(&["AWS_SECRET_ACCESS_KEY"]));
        let chain = Host::bedrock_default_chain();
        match (keys, region) {
            ((Some(id), Some(secret)), Some(region)) => {
                let session_token = self.first(&["AWS_SESSION_TOKEN"]);
                Half::whole(Host::bedrock_keys(region, id, secret, session_token))
            }
            // The profile may name the region, and the chain takes these very keys from the environment.
            ((Some(_), Some(_)), None) => Half::whole(chain),
            (_, region) if self.first(&["AWS_PROFILE"]).is_some() => Half::whole(match region {
                Some(region) => chain.region(region),
                None => chain,
            }),
            ((Some(_), None), _) => Half::Lacks("AWS_SECRET_ACCESS_KEY is not set"),
            ((None, Some(_)), _) => Half::Lacks("AWS_ACCESS_KEY_ID is not set"),
            ((None, None), _) => Half::Nothing,
        }
    }

    /// The first of `names` that is set.
    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| (self.lookup)(name).filter(|value| !value.is_empty()))
    }
}

/// Said where the environment has no host at all.
pub(crate) const NO_HOSTS: &str = "no backend is configured: set OPENAI_API_KEY, or AZURE_API_KEY with AZURE_API_BASE, \
                                   or AWS_BEARER_TOKEN_BEDROCK (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                                   AWS_PROFILE) with AWS_REGION";

#[cfg(test)]
mod tests;
