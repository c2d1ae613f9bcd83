//! Which connections carry another call, and that no call gets another one's answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::support::{
    A_MOMENT, Backend, World, answer_all, await_end, pause, read, read_request, say, whole,
};

#[tokio::test]
async fn a_connection_is_kept_after_these_and_no_other_replies() {
    for (reply, kept) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        ("HTTP/1.1 200 \r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!", false),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\r\n", false),
    ] {
        let world = World::new(&Backend::saying(reply));
        world.call().await.unwrap();
        assert_eq!(world.engine.idle_connections(), usize::from(kept), "{reply:?}");
    }
}

#[tokio::test]
async fn an_answer_to_no_request_is_nobodys() {
    for unasked in [
        whole("unasked"),
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "\r\n".to_owned(),
    ] {
        let backend = Backend::start(move |number, mut stream| {
            if number > 0 {
                return answer_all(number, stream);
            }
            read_request(&mut stream);
            say(&mut stream, whole("first"));
            pause(A_MOMENT);
            say(&mut stream, &unasked);
            await_end(&mut stream);
        });
        let world = World::new(&backend);
        assert_eq!(world.call().await.unwrap(), b"first");
        assert_eq!(world.engine.idle_connections(), 1);
        // Without the runtime having looked at the socket in between.
        pause(A_MOMENT * 2);
        assert_eq!(world.call().await.unwrap(), b"1");
    }
}

#[tokio::test]
async fn a_sweep_closes_many_connections_by_a_few_at_a_time_and_keeps_the_living() {
    const ALL: usize = 100;
    // Every other backend leaves when it may.
    let leave = Arc::new(AtomicBool::new(false));
    let may_leave = leave.clone();
    let backend = Backend::start(move |number, mut stream| {
        if read_request(&mut stream) {
            say(&mut stream, whole("1"));
            if number % 2 == 0 {
                await_end(&mut stream);
            } else {
                while !may_leave.load(Ordering::Relaxed) {
                    pause(A_MOMENT);
                }
            }
        }
    });
    let world = World::new(&backend);
    let mut calls = Vec::new();
    for _ in 0..ALL {
        calls.push(world.start("{}").await.unwrap());
    }
    for call in calls {
        read(call).await.unwrap();
    }
    assert_eq!(world.engine.idle_connections(), ALL);
    leave.store(true, Ordering::Relaxed);
    pause(A_MOMENT * 4);
    let mut sweeps = 1;
    let mut left = ALL;
    while world.engine.sweep() {
        let now = world.engine.idle_connections();
        assert!(left - now < ALL / 2, "{left} to {now} in one go");
        (left, sweeps) = (now, sweeps + 1);
    }
    assert!(sweeps > 2);
    assert_eq!(world.engine.idle_connections(), ALL / 2);
    // The next round finds nothing to close.
    while world.engine.sweep() {}
    assert_eq!(world.engine.idle_connections(), ALL / 2);
}

#[tokio::test]
async fn a_connection_that_was_looked_at_while_idle_still_wakes_its_next_call() {
    let backend = Backend::start(|_, mut stream| {
        while read_request(&mut stream) {
            // The call waits by then.
            pause(A_MOMENT);
            say(&mut stream, whole("late"));
        }
    });
    let world = World::new(&backend);
    for _ in 0..5 {
        assert_eq!(world.call().await.unwrap(), b"late");
        world.engine.sweep();
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.engine.sweep();
    }
    assert_eq!(backend.connections(), 1);
}
