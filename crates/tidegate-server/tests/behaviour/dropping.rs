//! Parameters that a backend can't honour: refused by name, or left out as the caller or the operator wants, and then said so.

use serde_json::json;

use crate::support::{Setup, caller::Answer};

fn ask(setup: &Setup, header: &str, stream: bool, wish: Option<bool>) -> Answer {
    let mut body = json!({
        "model": "bedrock/sim", "stream": stream, "messages": [{ "role": "user", "content": "[sim tokens=3]" }],
        "logit_bias": { "5": 1 }, "brand\nnew": 1,
    });
    if let Some(wish) = wish {
        body["drop_params"] = wish.into();
    }
    let body = body.to_string();
    let mut caller = setup.connect();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n{header}content-length: {}\r\n\r\n",
        body.len()
    );
    caller.send(format!("{head}{body}").as_bytes());
    caller.answer()
}

/// The status, and what the reply says was left out.
fn outcome(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("x-tidegate-dropped-params"))
}

const LEFT_OUT: (u16, Option<&str>) = (200, Some("logit_bias, brand%0Anew"));
const REFUSED: (u16, Option<&str>) = (400, None);
const HEADER: &str = "x-tidegate-drop-params: true\r\n";

#[test]
fn what_was_left_out_is_said_in_a_header() {
    let mut setup = Setup::start();
    for stream in [false, true] {
        let refused = ask(&setup, "", stream, None);
        assert_eq!(outcome(&refused), REFUSED);
        assert_eq!(
            (refused.error_code(), &refused.json()["error"]["param"]),
            ("unsupported_parameter".into(), &"logit_bias".into())
        );
        assert_eq!(outcome(&ask(&setup, HEADER, stream, None)), LEFT_OUT);
        assert_eq!(outcome(&ask(&setup, "", stream, Some(true))), LEFT_OUT);
        assert_eq!(outcome(&ask(&setup, HEADER, stream, Some(false))), REFUSED);
    }
    setup.finish();
}

#[test]
fn the_operator_decides_for_those_who_say_nothing() {
    let mut setup = Setup::builder().settings("drop_params: true").start();
    assert_eq!(outcome(&ask(&setup, "", true, None)), LEFT_OUT);
    assert_eq!(outcome(&ask(&setup, "x-tidegate-drop-params: false\r\n", true, None)), REFUSED);
    setup.finish();
}
