//! What the handlers of one worker share: where calls go, how, and who writes them down.

use std::{sync::Arc, time::Duration};

use tidegate_config::{Limits, Targets};
use tidegate_engine::{Engine, Fetcher, Recorder};
use tidegate_wire::auth::Secret;

use crate::record::Metrics;

/// One worker's view of the gateway. Everything but the engine is shared by all workers.
pub(crate) struct Gateway {
    pub(crate) engine: Engine,
    pub(crate) targets: Arc<Targets>,
    pub(crate) master_key: Option<Secret>,
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// Whether parameters that a backend can't honour are left out where the caller doesn't say.
    pub(crate) drop_params: bool,
    /// For media that callers name by URL and backends take as bytes alone; `None`: they are refused.
    pub(crate) fetcher: Option<Fetcher>,
    /// Between SSE comments while a backend is silent; `None`: no comments.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) readiness: crate::run::Readiness,
}
