//! A realtime session's request, for hosts that speak OpenAI's dialect.

use http::{HeaderName, HeaderValue, Method, header};
use percent_encoding::utf8_percent_encode;

use super::{AuthScheme, Dialect, Endpoint, prepare::SEGMENT};
use crate::{
    ErrorClass, WireError,
    outbound::Outbound,
    realtime::{Ask, BETA, BETA_VALUE},
};

impl Endpoint {
    /// Turns a caller's request for a session into this backend's. `model` is the backend's name for the model. The key of the
    /// handshake is added where it is sent.
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`]: the host has no such sessions.
    pub fn prepare_realtime(&self, ask: &Ask, model: &str) -> Result<Outbound, WireError> {
        if self.host.dialect != Dialect::OpenaiChat {
            let message = format!("The host {} of this model has no realtime sessions.", self.host.name);
            return Err(WireError::bad_request(message).with_param("model"));
        }
        let mut headers = self.headers.clone();
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if ask.beta {
            headers.entry(HeaderName::from_static(BETA)).or_insert(HeaderValue::from_static(BETA_VALUE));
        }
        let uri = self.realtime_url(ask, model);
        let uri = uri.parse().map_err(|error| {
            // The parameters are the caller's, and the rest is known to make a URL.
            WireError::new(ErrorClass::BadRequest, format!("The query can't be passed on: {error}."))
        })?;
        Ok(Outbound { method: Method::GET, uri, headers, body: bytes::Bytes::new() })
    }

    /// OpenAI names the model in the query, but for sessions that only transcribe, which name it later and refuse it here.
    /// Azure names the deployment: under a dated version beside it, else as v1 does.
    fn realtime_url(&self, ask: &Ask, model: &str) -> String {
        let base = self.base_url.trim_end_matches('/');
        let model = utf8_percent_encode(model, SEGMENT);
        let version = self.api_version.as_deref().map(|version| utf8_percent_encode(version, SEGMENT));
        let mut query = Vec::new();
        let path = match (self.host.auth, self.dated_version()) {
            (AuthScheme::Azure, dated) => {
                let resource = base.split_once("/openai/deployments/").map_or(base, |(resource, _)| resource);
                let resource = ["/openai/v1", "/openai", "/models"]
                    .iter()
                    .find_map(|path| resource.strip_suffix(path))
                    .unwrap_or(resource);
                query.extend(version.map(|version| format!("api-version={version}")));
                query.push(format!("{}={model}", if dated.is_some() { "deployment" } else { "model" }));
                format!("{resource}/openai/{}realtime", if dated.is_some() { "" } else { "v1/" })
            }
            _ => {
                if !ask.transcribes {
                    query.push(format!("model={model}"));
                }
                format!("{base}/realtime")
            }
        };
        query.extend(ask.parameters.iter().cloned());
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }
}
