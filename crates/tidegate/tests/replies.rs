//! What a caller gets: whole and streamed, over every backend and HTTP version, good and bad.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod support;

use futures_util::TryStreamExt as _;
use support::{World, cells, cut_short, request, whole_text};
use tidegate::{
    Blame, ChatRequest, Error, ErrorClass, Event, FinishReason, HttpVersion, Outcome, Provenance, Retry, Tool,
};

async fn streamed(world: &World, request: ChatRequest) -> Result<Vec<Event>, Error> {
    world.client.stream(request).await?.try_collect().await
}

fn text(events: &[Event]) -> String {
    let piece = |event: &Event| match event {
        Event::Text { text, .. } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(piece).collect()
}

#[tokio::test]
async fn a_whole_reply_and_a_stream_give_the_same_answer() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let scenario = format!("tokens=40 prompt=7 tag={tag}");
        let whole = world.client.chat(request(backend, &scenario)).await.unwrap();
        let of_whole = world.record();
        let stream = world.client.stream(request(backend, &scenario)).await.unwrap();
        let gathered = stream.into_response().await.unwrap();
        let of_stream = world.record();

        assert_eq!(whole.text(), whole_text(&scenario), "{tag}");
        assert_eq!(gathered.text(), whole.text(), "{tag}");
        assert_eq!(whole.finish(), Some(&FinishReason::Stop), "{tag}");
        assert_eq!(gathered.finish(), Some(&FinishReason::Stop), "{tag}");
        for (reply, record, streaming) in [(&whole, &of_whole, false), (&gathered, &of_stream, true)] {
            let usage = reply.usage.as_ref().unwrap();
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (7, 40), "{tag}");
            assert_eq!(record.outcome, Outcome::Complete, "{tag}");
            assert_eq!((record.status, record.streaming), (200, streaming), "{tag}");
            assert_eq!(record.provenance, Provenance::Reported, "{tag}");
            assert_eq!(&record.usage, usage, "{tag}");
            assert_eq!(record.id, reply.call_id, "{tag}");
            assert_eq!(record.host, backend, "{tag}");
            assert_eq!(record.error, None, "{tag}");
            assert_eq!(record.hang_up_to_closed, None, "{tag}");
        }
        let seen = world.sim.observations_tagged(&tag);
        let version = if http == HttpVersion::Http2 { "2" } else { "1.1" };
        assert_eq!(
            seen.iter().map(|seen| seen.http_version).collect::<Vec<_>>(),
            [version, version],
            "{tag}"
        );
    }
}

#[tokio::test]
async fn a_stream_ends_with_end_and_then_with_nothing() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let mut stream = world.client.stream(request(backend, "tokens=5 reasoning=3")).await.unwrap();
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            events.push(event.unwrap());
        }
        assert_eq!(events.last(), Some(&Event::End), "{tag}");
        assert!(matches!(events.first(), Some(Event::Start(_))), "{tag}: {events:?}");
        assert_eq!(text(&events), whole_text("tokens=5"), "{tag}");
        assert!(stream.next().await.is_none(), "{tag}");
        assert_eq!(world.record().outcome, Outcome::Complete, "{tag}: settled before the stream is dropped");
        drop(stream);
        assert!(world.records().is_empty(), "{tag}: settled once");
    }
}

#[tokio::test]
async fn o2_dropping_a_stream_after_its_last_event_is_complete() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let mut stream = world.client.stream(request(backend, "tokens=5")).await.unwrap();
        while stream.next().await.unwrap().unwrap() != Event::End {}
        drop(stream);
        let record = world.record();
        assert_eq!((record.outcome, record.provenance), (Outcome::Complete, Provenance::Reported), "{tag}");
    }
}

#[tokio::test]
async fn tools_are_called_and_answered() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let schema = serde_json::json!({ "type": "object", "properties": { "port": { "type": "string" } } });
        let ask = request(backend, "tokens=2 tools=2").tool(Tool::function("tide", "Times of tides", schema));
        let whole = world.client.chat(ask.clone()).await.unwrap();
        let stream = world.client.stream(ask.clone()).await.unwrap().into_response().await.unwrap();
        for reply in [&whole, &stream] {
            assert_eq!(reply.finish(), Some(&FinishReason::ToolCalls), "{tag}");
            assert_eq!(reply.tool_calls().len(), 2, "{tag}");
            for call in reply.tool_calls() {
                assert_eq!(call.name, "tide", "{tag}");
                serde_json::from_str::<serde_json::Value>(&call.arguments).unwrap();
            }
        }
        let mut next = ask.message(whole.message().unwrap());
        for call in whole.tool_calls() {
            next = next.tool_result(&call.id, "06:12");
        }
        // The last bracket counts: the first one is in the conversation still.
        let next = next.user("[sim tokens=3 tools=0]");
        assert_eq!(world.client.chat(next).await.unwrap().text(), whole_text("tokens=3"), "{tag}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_status_class_and_wait() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        for (status, class, retry, blame) in [
            (404, ErrorClass::NotFound, Retry::Never, Blame::Client),
            (401, ErrorClass::UpstreamAuth, Retry::Never, Blame::Gateway),
            (429, ErrorClass::RateLimited, Retry::BeforeFirstByte, Blame::Upstream),
            (500, ErrorClass::UpstreamBroke, Retry::BeforeFirstByte, Blame::Upstream),
            (503, ErrorClass::Overloaded, Retry::BeforeFirstByte, Blame::Upstream),
        ] {
            let scenario = format!("error={status} retry_after=3");
            let whole = world.client.chat(request(backend, &scenario)).await.unwrap_err();
            let records = [world.record()];
            let stream = world.client.stream(request(backend, &scenario)).await.unwrap_err();
            for (error, record) in [(&whole, &records[0]), (&stream, &world.record())] {
                assert_eq!((error.class(), error.retry(), error.blame()), (class, retry, blame), "{tag}");
                assert_eq!(error.upstream_status(), Some(status), "{tag}");
                assert_eq!(error.call_id(), Some(&*record.id), "{tag}");
                assert_eq!(record.outcome, Outcome::Refused, "{tag} {status}");
                assert_eq!(record.provenance, Provenance::None, "{tag} {status}");
            }
            if status == 429 {
                assert!(whole.is_rate_limited(), "{tag}");
                assert_eq!(whole.retry_after(), Some(std::time::Duration::from_secs(3)), "{tag}");
            }
        }
    }
}

/// Streams until the failure; gives what came before it.
async fn broken(world: &World, request: ChatRequest) -> (String, Error) {
    let mut stream = world.client.stream(request).await.unwrap();
    let mut events = Vec::new();
    loop {
        match stream.next().await {
            Some(Ok(event)) => events.push(event),
            Some(Err(error)) => {
                assert!(stream.next().await.is_none(), "nothing follows an error");
                assert!(!events.contains(&Event::End), "a failure is no end");
                return (text(&events), error);
            }
            None => panic!("ended without an error after {events:?}"),
        }
    }
}

#[tokio::test]
async fn a15_an_error_inside_the_stream_comes_after_what_was_delivered() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let (before, error) = broken(&world, request(backend, "tokens=20 fail=6")).await;
        assert_eq!(before, whole_text("tokens=6"), "{tag}");
        assert_eq!(error.blame(), Blame::Upstream, "{tag}: {error:?}");
        let record = world.record();
        assert!(matches!(record.outcome, Outcome::Broken | Outcome::Refused), "{tag}: {record:?}");
        assert_eq!(record.content_events, 6, "{tag}");
        assert_eq!(record.provenance, cut_short(backend), "{tag}: delivered tokens are not free");
        assert_eq!(record.id, error.call_id().unwrap(), "{tag}");
    }
}

#[tokio::test]
async fn o5_a_truncated_stream_is_an_error() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        for cut in ["eof=6", "truncate=6", "reset=6"] {
            let (before, error) = broken(&world, request(backend, &format!("tokens=20 {cut}"))).await;
            assert!(whole_text("tokens=6").starts_with(&before), "{tag} {cut}: {before:?}");
            let record = world.record();
            if cut == "eof=6" {
                assert_eq!(before, whole_text("tokens=6"), "{tag}");
                assert!(error.is_truncated(), "{tag}: {error:?}");
                assert_eq!(record.outcome, Outcome::Truncated, "{tag}");
            }
            assert!(
                matches!(record.outcome, Outcome::Truncated | Outcome::Broken),
                "{tag} {cut}: {record:?}"
            );
            assert_eq!(error.retry(), Retry::BeforeFirstByte, "{tag} {cut}");
        }
        let (_, error) = broken(&world, request(backend, "tokens=20 malformed=4")).await;
        assert_eq!(error.blame(), Blame::Upstream, "{tag} {error:?}");
        assert_eq!(world.record().outcome, Outcome::Broken, "{tag}");
    }
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_a_connect_error() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = tidegate::Client::builder()
        .host("gone", tidegate::Host::openai_compatible(format!("http://{address}/v1")))
        .build()
        .unwrap();
    let error = client.chat(ChatRequest::new("gone/m").user("hi")).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(error.retry(), Retry::BeforeFirstByte);
}

#[tokio::test]
async fn errors_of_the_stream_and_of_the_whole_reply_agree() {
    for (http, backend, tag) in cells() {
        let world = World::new(http);
        let streamed = streamed(&world, request(backend, "fail=0")).await.unwrap_err();
        let whole = world.client.chat(request(backend, "fail=0")).await.unwrap_err();
        assert_eq!(streamed.blame(), whole.blame(), "{tag}");
        assert_eq!(world.records().len(), 2, "{tag}");
    }
}
