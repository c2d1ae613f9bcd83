//! Model names: `host/model`, where the host's own name for the model may hold slashes and colons (`org/model:latest`, ARNs).

/// The host that `name` begins with, and the host's own name for the model. `None`: one of the two is missing.
///
/// ```
/// assert_eq!(tidegate::model::split("azure/gpt-4o"), Some(("azure", "gpt-4o")));
/// assert_eq!(tidegate::model::split("openai/org/model:latest"), Some(("openai", "org/model:latest")));
/// assert_eq!(tidegate::model::split("gpt-4o"), None);
/// ```
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once('/').filter(|(host, model)| !host.is_empty() && !model.is_empty())
}

/// What to say to somebody who asks for a model that is not there, so that the next attempt succeeds.
///
/// `own` are names that lead to a model without naming its host, `hosts` the names of the hosts; both may be empty.
pub fn not_found<'n>(
    name: &str,
    own: impl IntoIterator<Item = &'n str>,
    hosts: impl IntoIterator<Item = &'n str>,
) -> String {
    let shown: String = name.chars().take(SHOWN_CHARACTERS).collect();
    let mut said = format!("no model `{}`; ", shown.escape_debug());
    let mut own = own.into_iter();
    let listed: Vec<&str> = own.by_ref().take(SHOWN_MODELS).collect();
    if !listed.is_empty() {
        let more = if own.next().is_some() { ", ..." } else { "" };
        said.push_str(&format!("configured: {}{more}; or ", listed.join(", ")));
    }
    let hosts: Vec<&str> = hosts.into_iter().collect();
    match hosts.as_slice() {
        [] => said.push_str("there is no host that a name could begin with"),
        hosts => {
            said.push_str(&format!(
                "write host/model, where host is one of: {}",
                shortened(hosts.iter().copied())
            ));
        }
    }
    said
}

/// The first of `names`; how many more there are is only hinted at.
pub(crate) fn shortened<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let mut text = names.by_ref().take(SHOWN_HOSTS).collect::<Vec<_>>().join(", ");
    if names.next().is_some() {
        text.push_str(", ... (docs/hosts.md has all)");
    }
    text
}

/// What somebody else wrote is repeated only in part.
const SHOWN_CHARACTERS: usize = 100;
const SHOWN_MODELS: usize = 20;
const SHOWN_HOSTS: usize = 20;
