//! The attempts of one call: its backend, the same again, then the next one.
//!
//! One future, owned by the call: dropping it in the pause before an attempt means that the attempt never begins. Tries
//! again only what failed before anything of the reply was given to the caller.

use std::{sync::Arc, time::Duration};

use tidegate::{ChatRequest, ChatResponse, ChatStream, Client, Error, ErrorClass, Host, Retry};

/// What a call is to do.
pub(crate) struct Plan {
    /// The backends to ask, in this order, at least one.
    pub(crate) candidates: Vec<Candidate>,
    /// How often each is asked again.
    pub(crate) retries: u32,
    pub(crate) streaming: bool,
}

/// A backend and what it is asked.
pub(crate) struct Candidate {
    pub(crate) host: Host,
    pub(crate) request: ChatRequest,
    pub(crate) origin: Origin,
}

/// Who answers, as far as the caller is told.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The host's kind.
    pub(crate) provider: &'static str,
    /// The host's own name for the model.
    pub(crate) model: Arc<str>,
    /// Whether the caller asked for a chunk with the usage.
    pub(crate) include_usage: bool,
}

/// A backend that answers.
pub(crate) enum Opened {
    Whole(Box<ChatResponse>, Origin),
    Stream(Box<ChatStream>, Origin),
}

/// Why there is no answer, and whose failure it was.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) origin: Origin,
}

/// Asks until somebody answers.
///
/// # Errors
/// The last failure.
///
/// # Cancel safety
/// Dropping the future stops the attempt under way, and no other begins.
pub(crate) async fn open(client: Client, plan: Plan) -> Result<Opened, Failure> {
    let Plan { candidates, retries, streaming } = plan;
    let mut last = None;
    for candidate in candidates {
        for attempt in 0..=retries {
            match candidate.ask(&client, streaming).await {
                Ok(opened) => return Ok(opened),
                Err(error) => {
                    let again = error.retry() == Retry::BeforeFirstByte && attempt < retries;
                    let pause = pause(&error, attempt);
                    last = Some(Failure { error, origin: candidate.origin.clone() });
                    if !again {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
    Err(last.unwrap_or_else(nobody))
}

impl Candidate {
    async fn ask(&self, client: &Client, streaming: bool) -> Result<Opened, Error> {
        let target = client.target(&self.host).await?;
        let request = self.request.clone();
        if streaming {
            let stream = client.stream_at(&target, request).await?;
            return Ok(Opened::Stream(Box::new(stream), self.origin.clone()));
        }
        let response = client.chat_at(&target, request).await?;
        Ok(Opened::Whole(Box::new(response), self.origin.clone()))
    }
}

/// What the backend asks for, else longer each time, and never the same for everybody who was refused at once.
fn pause(error: &Error, attempt: u32) -> Duration {
    let own = FIRST_PAUSE.saturating_mul(1 << attempt.min(8)).min(LONGEST_PAUSE);
    // The last bytes of such a UUID are random.
    let [.., high, low] = uuid::Uuid::now_v7().into_bytes();
    let spread = f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX);
    let own = own.mul_f64(0.75 + 0.25 * spread);
    error.retry_after().map_or(own, |asked| asked.max(own)).min(LONGEST_ASKED)
}

fn nobody() -> Failure {
    let error = tidegate_wire::WireError::new(ErrorClass::Internal, "there is nobody to ask");
    let origin = Origin { provider: "", model: "".into(), include_usage: false };
    Failure { error: error.into(), origin }
}

/// As the official clients of OpenAI wait.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A backend that asks for more than this had better be answered with its error.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
