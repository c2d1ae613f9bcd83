//! Media that a caller names by URL, for a backend that takes bytes alone.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tidegate_engine::Outcome;

use crate::support::{Setup, caller::Caller};

/// Somebody who serves an image, once asked; `None`: he never answers. Hands over each connection that he has.
fn images(answer: Option<&'static [u8]>) -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connections) = mpsc::sync_channel(4);
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut asked = [0; 1000];
            let _ = socket.read(&mut asked);
            if let Some(answer) = answer {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
                    answer.len()
                );
                let _ = socket.write_all(&[head.as_bytes(), answer].concat());
            }
            if accepted.send(socket).is_err() {
                break;
            }
        }
    });
    (address, connections)
}

fn ask(setup: &Setup, url: &str) -> Caller {
    ask_with(setup, url, 1)
}

/// The same image several times.
fn ask_with(setup: &Setup, url: &str, times: usize) -> Caller {
    let mut content = vec![json!({ "type": "text", "text": "[sim tokens=3,tag=fetch]" })];
    content.extend(vec![json!({ "type": "image_url", "image_url": { "url": url } }); times]);
    let body =
        json!({ "model": "bedrock/sim", "messages": [{ "role": "user", "content": content }] }).to_string();
    let mut caller = setup.connect();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {}\r\n\r\n", body.len());
    caller.send(format!("{head}{body}").as_bytes());
    caller
}

fn fetching(address: SocketAddr) -> Setup {
    fetching_within(address, "32MiB")
}

fn fetching_within(address: SocketAddr, body: &str) -> Setup {
    let rules = format!(
        "fetch_media: {{ hosts: [\"{address}\"], networks: [127.0.0.0/8] }}\nlimits: {{ body: {body} }}"
    );
    Setup::builder().settings(&rules).start()
}

#[test]
fn an_image_is_fetched_for_bedrock() {
    let (address, _served) = images(Some(&[7; 5000]));
    let mut setup = fetching(address);
    let answer = ask(&setup, &format!("http://{address}/gate.png")).answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = setup.reached("fetch", |seen| seen.body_ns.is_some());
    assert!(seen.request_bytes > 5000 * 4 / 3, "{} bytes: the image is in it", seen.request_bytes);
    setup.finish();
}

/// A short request must not be a way to our memory, nor to a call without end.
#[test]
fn what_a_request_names_is_bounded_in_all() {
    let (address, served) = images(Some(&[7; 5000]));
    thread::spawn(move || served.into_iter().for_each(drop));
    let url = format!("http://{address}/gate.png");
    let mut setup = fetching_within(address, "16KiB");
    assert_eq!(ask_with(&setup, &url, 2).answer().status, 200);
    let answer = ask_with(&setup, &url, 3).answer();
    assert_eq!(answer.status, 413, "{answer:?}");
    setup.finish();
    let (address, served) = images(Some(b"\x89PNG"));
    thread::spawn(move || served.into_iter().for_each(drop));
    let mut setup = fetching(address);
    let answer = ask_with(&setup, &format!("http://{address}/gate.png"), 201).answer();
    assert_eq!((answer.status, answer.error_code()), (400, "url_not_fetched".into()));
    setup.finish();
}

#[test]
fn what_is_not_allowed_is_refused_and_nobody_is_called() {
    let (address, served) = images(Some(b"x"));
    let url = format!("http://{address}/gate.png");
    let mut unset = Setup::start();
    let answer = ask(&unset, &url).answer();
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &"messages[0].content.image_url".into()),
        "{answer:?}"
    );
    unset.finish();
    let mut elsewhere = Setup::builder().settings("fetch_media: { hosts: [\"*\"] }").start();
    let answer = ask(&elsewhere, &url).answer();
    assert_eq!((answer.status, answer.error_code()), (400, "url_not_fetched".into()));
    elsewhere.finish();
    assert!(served.try_recv().is_err(), "somebody was called");
}

#[test]
fn d1_a_hang_up_while_fetching_ends_it() {
    let (address, served) = images(None);
    let mut setup = fetching(address);
    let caller = ask(&setup, &format!("http://{address}/gate.png"));
    let mut held = served.recv_timeout(Duration::from_secs(10)).expect("is asked");
    let gone = Instant::now();
    caller.fin();
    held.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // A reset or an end.
    assert!(matches!(held.read(&mut [0]), Ok(0) | Err(_)));
    assert!(gone.elapsed() < Duration::from_secs(1), "{:?}", gone.elapsed());
    assert_eq!(setup.only_record().outcome, Outcome::ClientGone);
}
