//! Backends that do not read what they are sent, or answer before they have.

use std::{
    io::{Read as _, Write as _},
    sync::mpsc::sync_channel,
    time::Duration,
};

use bytes::Bytes;
use tidegate_wire::ErrorClass;

use crate::support::{
    A_MOMENT, Backend, PATIENCE, World, await_end, pause, read, read_request, read_request_head, say,
};

/// More than all buffers of a connection take.
const LARGE: usize = 16 << 20;

fn large() -> Bytes {
    vec![b'x'; LARGE].into()
}

#[tokio::test]
async fn a_refusal_before_the_request_was_read_is_heard() {
    for closing in ["", "connection: close\r\n"] {
        let (ended, end) = sync_channel(1);
        let backend = Backend::start(move |_, mut stream| {
            read_request_head(&mut stream);
            say(&mut stream, format!("HTTP/1.1 413 Too Large\r\n{closing}content-length: 3\r\n\r\nbig"));
            pause(A_MOMENT);
            ended.send(await_end(&mut stream)).unwrap();
        });
        let world = World::new(&backend);
        let error = world.failure(large()).await;
        assert_eq!(error.upstream_status(), Some(413), "{error:?}");
        assert_eq!(world.engine.idle_connections(), 0, "half a request is on it");
        assert!(end.recv_timeout(PATIENCE).unwrap(), "a FIN would have queued behind the request");
    }
}

#[tokio::test]
async fn a_refusal_by_a_backend_that_resets_is_heard() {
    let backend = Backend::start(|_, mut stream| {
        read_request_head(&mut stream);
        say(&mut stream, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
        // Closing with unread bytes is a reset.
    });
    let world = World::new(&backend);
    for _ in 0..20 {
        let error = world.failure(large()).await;
        assert_eq!(error.upstream_status(), Some(413), "{error:?}");
        assert_eq!(world.engine.idle_connections(), 0);
    }
}

#[tokio::test]
async fn a_backend_that_reads_nothing_runs_into_the_deadline_and_is_reset() {
    let (ended, end) = sync_channel(1);
    let backend = Backend::start(move |_, mut stream| {
        pause(Duration::from_millis(400));
        ended.send(await_end(&mut stream)).unwrap();
    });
    let mut world = World::new(&backend);
    world.target.clocks.response_headers = Duration::from_millis(200);
    let error = world.failure(large()).await;
    assert_eq!(error.code(), Some("timeout_response_headers"), "{error:?}");
    assert!(end.recv_timeout(PATIENCE).unwrap(), "reset");
}

#[tokio::test]
async fn a_reply_may_come_while_the_request_still_goes_out() {
    // The backend reads only as fast as it is read from: both directions are full at some time.
    let backend = Backend::start(|_, mut stream| {
        let mut left = read_request_head(&mut stream).unwrap() as usize;
        say(&mut stream, format!("HTTP/1.1 200 OK\r\ncontent-length: {left}\r\n\r\n"));
        let mut piece = vec![0; 100_000];
        while left > 0 {
            let read = stream.read(&mut piece).unwrap();
            stream.write_all(&piece[..read]).unwrap();
            left -= read;
        }
        read_request(&mut stream);
    });
    let world = World::new(&backend);
    let exchange = world.start(large()).await.unwrap();
    assert_eq!(read(exchange).await.unwrap().len(), LARGE);
    assert_eq!(world.engine.idle_connections(), 1, "all of the request was taken");
}

#[tokio::test]
async fn a_reply_that_ends_before_its_request_is_whole_and_its_connection_is_not_kept() {
    let backend = Backend::start(|_, mut stream| {
        read_request_head(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        pause(A_MOMENT);
        await_end(&mut stream);
    });
    let world = World::new(&backend);
    assert_eq!(read(world.start(large()).await.unwrap()).await.unwrap(), b"ok");
    assert_eq!(world.engine.idle_connections(), 0);
}

#[tokio::test]
async fn a_close_without_an_answer_is_not_tried_again() {
    let backend = Backend::start(|number, mut stream| {
        read_request(&mut stream);
        if number == 0 {
            say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            // The second request arrives, and may have been acted on.
            read_request(&mut stream);
        }
    });
    let world = World::new(&backend);
    world.call().await.unwrap();
    assert_eq!(world.call().await.unwrap_err().class(), ErrorClass::UpstreamBroke);
    assert_eq!(backend.connections(), 1);
}
