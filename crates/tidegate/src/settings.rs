//! What the values of a host's settings may be.
//!
//! Each function says what is wrong in words that follow the setting's name or the quoted value: "`eu/../x` is not an AWS
//! region; ...". None repeats the value. Used by [`Host`](crate::Host), by the environment's discovery, and by programs that
//! read settings from files of their own and want to say where in the file a wrong one stands, as the gateway does.

use http::{HeaderName, HeaderValue};
use tidegate_engine::credentials::{EntraIdentity, EntraSource};

/// What a host is called, and its models' names begin with.
///
/// # Errors
/// It is empty, or has a slash or a space.
pub fn host_name(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('/') || text.contains(char::is_whitespace) {
        return Err("a host's name has no slash and no space: models are addressed as name/model".to_owned());
    }
    Ok(())
}

/// An absolute `http` or `https` URL; a trailing slash is taken off. Look at [`url_holds_secret`] first.
///
/// # Errors
/// It is none, or names no host.
pub fn base_url(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|_| EXAMPLE_URL.to_owned())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(EXAMPLE_URL.to_owned());
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("names no host; ".to_owned() + EXAMPLE_URL);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether a URL has a place where secrets stand (user, query, fragment), and so must neither be accepted nor shown.
/// [`URL_HOLDS_SECRET`] says so.
pub fn url_holds_secret(text: &str) -> bool {
    text.contains(['@', '?', '#'])
}

/// Azure's `api-version`: it goes into URLs as it is.
///
/// # Errors
/// It has other characters than letters, digits and hyphens, or none.
pub fn api_version(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(text.to_owned());
    }
    Err("is not an API version; write one such as 2024-10-21, or leave it out for the v1 API".to_owned())
}

/// An AWS region: it goes into host names as it is.
///
/// # Errors
/// It has other characters than small letters, digits and hyphens, or none.
pub fn region(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("is not an AWS region; write one such as eu-central-1".to_owned())
}

/// An account: it goes into host names and paths as it is.
///
/// # Errors
/// It has other characters than letters, digits, hyphens, underscores, dots and colons (Google's projects of domains), or
/// none.
pub fn account(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if !text.is_empty() && text != "." && text != ".." && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("has characters that no such name has; write one such as my-project-1".to_owned())
}

/// Who asks Entra ID for tokens, and where.
///
/// # Errors
/// The first setting that can't be used, by its name in the gateway's file, and why.
pub fn entra(source: &EntraSource) -> Result<(), (&'static str, String)> {
    let id = |name, id: &str| entra_id(id).map_err(|why| (name, why));
    let optional = |name, given: &Option<String>| given.as_deref().map_or(Ok(()), |given| id(name, given));
    match &source.identity {
        EntraIdentity::Default => {}
        EntraIdentity::ClientSecret { tenant_id, client_id, client_secret } => {
            id("tenant_id", tenant_id)?;
            id("client_id", client_id)?;
            if client_secret.expose().is_empty() {
                return Err(("client_secret", "is empty".to_owned()));
            }
        }
        EntraIdentity::WorkloadIdentity { tenant_id, client_id, .. } => {
            optional("tenant_id", tenant_id)?;
            optional("client_id", client_id)?;
        }
        EntraIdentity::ManagedIdentity { client_id } => optional("client_id", client_id)?,
        EntraIdentity::AzureCli { tenant_id } => optional("tenant_id", tenant_id)?,
    }
    if let Some(host) = &source.authority_host {
        authority_host(host).map_err(|why| ("authority_host", why))?;
    }
    source.scope.as_deref().map_or(Ok(()), |text| scope(text).map(drop).map_err(|why| ("scope", why)))
}

/// A directory or an application of Entra ID: an id, or a directory's domain.
///
/// # Errors
/// It has other characters than letters, digits, hyphens, underscores and dots, or none.
pub fn entra_id(text: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !text.is_empty() && text.bytes().all(fits) {
        return Ok(());
    }
    Err("is no id of Entra ID; write one such as 00000000-0000-0000-0000-000000000000".to_owned())
}

/// The directory's URL: its national cloud. Secrets go there, so it has TLS.
///
/// # Errors
/// It is no `https` URL, or has more than a host.
pub fn authority_host(text: &str) -> Result<String, String> {
    let why =
        || "is not the URL of a directory; write one such as https://login.microsoftonline.us".to_owned();
    let url = base_url(text).map_err(|_| why())?;
    let bare = url.strip_prefix("https://").is_some_and(|host| !host.contains(['/', '@', '?', '#']));
    if bare { Ok(url) } else { Err(why()) }
}

/// What tokens are asked for.
///
/// # Errors
/// It has a space, or nothing.
pub fn scope(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'/');
    if !text.is_empty() && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("is not a scope; write one such as https://cognitiveservices.azure.com/.default".to_owned())
}

/// The name of a header to send along.
///
/// # Errors
/// It is none, or the header is one of those that Tidegate sets itself.
pub fn header_name(text: &str) -> Result<HeaderName, String> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if OWN_HEADERS.contains(&name.as_str()) => {
            Err("this header is Tidegate's own to set".to_owned())
        }
        Ok(name) => Ok(name),
        Err(_) => Err("is not a header's name".to_owned()),
    }
}

/// The value of a header to send along, marked as sensitive.
///
/// # Errors
/// It has bytes that no header may have.
pub fn header_value(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "a header's value may hold no line break or control character".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Said of a URL of which [`url_holds_secret`] is true.
pub const URL_HOLDS_SECRET: &str =
    "a base URL holds no user, query or fragment; give credentials by their own keys";
const EXAMPLE_URL: &str = "is not a base URL; write one such as https://api.example.com/v1";
/// Framing and routing of the connection, what the signature is made of, and the form of the reply: a compressed one could not
/// be read.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
