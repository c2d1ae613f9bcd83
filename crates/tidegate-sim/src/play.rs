//! Performs a plan on an outlet: the delays, the frames, the faults, and at every wait the watch on the peer.
//!
//! Knows nothing of HTTP versions or providers. Every wait is a race against the peer's close, except where the scenario
//! is `deaf`.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::journal::{Call, ClosedHow, Phase};
use crate::plan::{Body, Head, Plan, Segment, Stream};
use crate::scenario::Scenario;

/// Where a response goes: one HTTP/1.1 connection or one HTTP/2 stream.
pub(crate) trait Outlet {
    /// Waits until the peer has closed. Consumes nothing, so it may be dropped and asked again.
    async fn closed(&mut self) -> ClosedHow;
    /// Writes the head of a response with a body of `length` bytes, or of a length not known.
    async fn head(&mut self, head: &Head, length: Option<usize>) -> Result<(), ClosedHow>;
    /// Writes a whole response in one go.
    async fn whole(&mut self, head: &Head, body: &[u8]) -> Result<(), ClosedHow>;
    /// Writes a part of the body and flushes it. Unless `deaf`, a peer that closes while the write waits is an error.
    async fn write(&mut self, bytes: &[u8], call: &Call, deaf: bool) -> Result<(), ClosedHow>;
    /// Ends the body.
    async fn end(&mut self) -> Result<(), ClosedHow>;
    /// Makes the response end in a reset.
    fn reset(&mut self);
}

/// How a performance ended, where the peer did not close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The response is complete.
    Complete,
    /// The scenario cut the response short: the connection must close.
    Cut,
}

/// Performs `plan`. An error is how the peer closed.
pub(crate) async fn play<O: Outlet>(plan: &Plan, outlet: &mut O, call: &Call) -> Result<End, ClosedHow> {
    let mut stage = Stage::new(&plan.scenario, outlet, call);
    call.rest();
    stage.pause(plan.scenario.headers_delay).await?;
    match &plan.body {
        Body::Whole { bytes, thinking, completion } => {
            stage.pause(*thinking).await?;
            call.update(|seen| seen.truth_usage.completion = *completion);
            stage.whole(&plan.head, bytes).await
        }
        Body::Stream(stream) => {
            stage.head(&plan.head, None).await?;
            stage.stream(stream).await
        }
    }
}

struct Stage<'a, O> {
    scenario: &'a Scenario,
    outlet: &'a mut O,
    call: &'a Call,
    /// Frames begun so far.
    frames: u32,
    /// Tokens sent so far.
    tokens: u32,
    /// When the next token may be sent; `None` while tokens are sent as fast as they go.
    due: Option<Instant>,
    /// The number of tokens after which the next fault strikes.
    fault_at: u32,
    /// The peer has closed, and this backend does not care.
    peer_gone: bool,
}

/// What a scenario does after some number of tokens.
#[derive(Clone, Copy)]
enum Fault {
    Stall,
    Fail,
    Truncate,
    Eof,
    Reset,
}

impl<'a, O: Outlet> Stage<'a, O> {
    fn new(scenario: &'a Scenario, outlet: &'a mut O, call: &'a Call) -> Self {
        let fault_at = faults(scenario).filter_map(|(after, _)| after).min().unwrap_or(u32::MAX);
        Self { scenario, outlet, call, frames: 0, tokens: 0, due: None, fault_at, peer_gone: false }
    }

    async fn head(&mut self, head: &Head, length: Option<usize>) -> Result<(), ClosedHow> {
        self.outlet.head(head, length).await?;
        self.note_head(head.status);
        Ok(())
    }

    fn note_head(&self, status: u16) {
        self.call.update(|seen| {
            seen.headers_ns = Some(crate::clock::monotonic_ns());
            seen.status = Some(status);
        });
        self.call.rest();
    }

    /// Waits, and fails as soon as the peer closes (a deaf backend notes it and waits on).
    async fn pause(&mut self, duration: Duration) -> Result<(), ClosedHow> {
        if duration.is_zero() {
            return Ok(());
        }
        self.pause_until(Instant::now() + duration).await
    }

    async fn pause_until(&mut self, until: Instant) -> Result<(), ClosedHow> {
        if !self.peer_gone {
            tokio::select! {
                biased;
                how = self.outlet.closed() => {
                    self.call.closed(how);
                    if !self.scenario.deaf {
                        return Err(how);
                    }
                    self.peer_gone = true;
                }
                () = sleep_until(until) => return Ok(()),
            }
        }
        sleep_until(until).await;
        Ok(())
    }

    /// Holds still until the peer closes.
    async fn stall(&mut self, phase: Phase) -> ClosedHow {
        self.call.phase(phase);
        self.outlet.closed().await
    }

    async fn stream(&mut self, stream: &Stream) -> Result<End, ClosedHow> {
        let scenario = self.scenario;
        let first = scenario.first_token_delay + scenario.interval * stream.hidden;
        let paced = !first.is_zero() || !scenario.interval.is_zero() || !scenario.gap.is_zero();
        self.due = paced.then(|| Instant::now() + first);
        let mut scratch = Vec::with_capacity(512);
        for segment in &stream.segments {
            match segment {
                Segment::Fixed(frames) => {
                    for frame in frames {
                        self.fixed(frame, stream).await?;
                    }
                }
                Segment::Listed(frames) => {
                    for frame in frames {
                        if let Some(end) = self.token(frame, stream).await? {
                            return Ok(end);
                        }
                    }
                }
                Segment::Content { frames, first, count } => {
                    for index in *first..first.saturating_add(*count) {
                        let frame = frames.frame(index, &mut scratch);
                        if let Some(end) = self.token(frame, stream).await? {
                            return Ok(end);
                        }
                    }
                }
            }
        }
        self.finish().await
    }

    async fn fixed(&mut self, frame: &[u8], stream: &Stream) -> Result<(), ClosedHow> {
        let frame = if self.scenario.malformed == Some(self.frames) { &stream.malformed } else { frame };
        self.frame(frame, 0).await
    }

    /// Sends one token when it is due. `Some` ends the response.
    async fn token(&mut self, frame: &[u8], stream: &Stream) -> Result<Option<End>, ClosedHow> {
        if self.tokens == 0 && self.fault_at == 0 {
            self.wait_for_first(stream).await?;
            return self.strike(stream).await.map(Some);
        }
        match self.tokens {
            0 => self.wait_for_first(stream).await?,
            _ => self.wait_for_next().await?,
        }
        let frame = if self.scenario.malformed == Some(self.frames) { &stream.malformed } else { frame };
        self.frame(frame, 1).await?;
        self.tokens += 1;
        if self.tokens == self.fault_at {
            return self.strike(stream).await.map(Some);
        }
        Ok(None)
    }

    async fn wait_for_first(&mut self, stream: &Stream) -> Result<(), ClosedHow> {
        if let Some(due) = self.due {
            self.pause_until(due).await?;
        }
        if stream.hidden > 0 {
            self.call.update(|seen| seen.truth_usage.completion += u64::from(stream.hidden));
        }
        Ok(())
    }

    /// Tokens are due at fixed times from the first on, so that a late one does not delay those after it.
    async fn wait_for_next(&mut self) -> Result<(), ClosedHow> {
        let Some(due) = self.due else { return Ok(()) };
        let burst = self.scenario.burst;
        let step = match burst {
            0 => self.scenario.interval,
            _ if self.tokens.is_multiple_of(burst) => self.scenario.gap,
            _ => Duration::ZERO,
        };
        let due = due + step;
        self.due = Some(due);
        if due > Instant::now() { self.pause_until(due).await } else { Ok(()) }
    }

    async fn strike(&mut self, stream: &Stream) -> Result<End, ClosedHow> {
        let due = faults(self.scenario).find(|(after, _)| *after == Some(self.fault_at));
        match due.map(|(_, fault)| fault) {
            Some(Fault::Stall) | None => Err(self.stall(Phase::Stalled).await),
            Some(Fault::Fail) => {
                self.frame(&stream.failure, 0).await?;
                self.finish().await
            }
            Some(Fault::Eof) => self.finish().await,
            Some(Fault::Truncate) => Ok(End::Cut),
            Some(Fault::Reset) => {
                self.outlet.reset();
                Ok(End::Cut)
            }
        }
    }

    /// Writes one frame, whole, in pieces or by half, as the scenario has it.
    async fn frame(&mut self, frame: &[u8], tokens: u64) -> Result<(), ClosedHow> {
        let index = self.frames;
        self.frames += 1;
        if self.scenario.split_stall == Some(index) {
            let half = frame.get(..frame.len() / 2).unwrap_or_default();
            self.write(half, 0, 0).await?;
            return Err(self.stall(Phase::InsideFrame).await);
        }
        if self.scenario.trickle == 0 {
            return self.write(frame, 1, tokens).await;
        }
        let mut pieces = frame.chunks(self.scenario.trickle).peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            self.write(piece, u64::from(last), if last { tokens } else { 0 }).await?;
            if !last {
                self.pause(self.scenario.trickle_delay).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8], frames: u64, tokens: u64) -> Result<(), ClosedHow> {
        self.outlet.write(bytes, self.call, self.scenario.deaf).await?;
        self.call.wrote(bytes.len(), frames, tokens);
        Ok(())
    }

    async fn finish(&mut self) -> Result<End, ClosedHow> {
        self.outlet.end().await?;
        Ok(End::Complete)
    }

    /// A response of one document: the faults of a stream, as far as they make sense for it.
    async fn whole(&mut self, head: &Head, body: &[u8]) -> Result<End, ClosedHow> {
        let scenario = self.scenario;
        let half = body.get(..body.len() / 2).unwrap_or_default();
        if scenario.stall.is_some() {
            return Err(self.stall(Phase::Stalled).await);
        }
        if scenario.reset.is_some() {
            self.outlet.reset();
            return Ok(End::Cut);
        }
        if scenario.truncate.is_some() {
            self.head(head, Some(body.len())).await?;
            self.write(half, 0, 0).await?;
            return Ok(End::Cut);
        }
        if scenario.split_stall.is_some() || scenario.trickle > 0 {
            self.head(head, Some(body.len())).await?;
            self.frames = scenario.split_stall.unwrap_or(0);
            self.frame(body, 0).await?;
            return self.finish().await;
        }
        let body = if scenario.malformed.is_some() { half } else { body };
        self.outlet.whole(head, body).await?;
        self.note_head(head.status);
        self.call.wrote(body.len(), 1, 0);
        Ok(End::Complete)
    }
}

fn faults(scenario: &Scenario) -> impl Iterator<Item = (Option<u32>, Fault)> {
    [
        (scenario.stall, Fault::Stall),
        (scenario.fail, Fault::Fail),
        (scenario.truncate, Fault::Truncate),
        (scenario.eof, Fault::Eof),
        (scenario.reset, Fault::Reset),
    ]
    .into_iter()
}
