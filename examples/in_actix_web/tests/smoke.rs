//! Cargo, through the program.

use real_cargo::{Program, smoke_test};

#[test]
fn cargo_publishes_to_it_and_builds_from_it() {
    smoke_test(&Program::start(env!("CARGO_BIN_EXE_in_actix_web")));
}

#[test]
fn a_head_tells_the_length_of_the_body_that_is_not_sent() {
    let program = Program::start(env!("CARGO_BIN_EXE_in_actix_web"));
    let ask = |method| {
        let answer = program.ask(method, "/main/index/config.json", &[]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
        let length: usize = lengths.next().expect("a length").parse().unwrap();
        assert_eq!(lengths.next(), None, "{head}");
        (length, body.len())
    };
    let (length, sent) = ask("GET");
    assert!(length == sent && length > 0);
    assert_eq!(ask("HEAD"), (length, 0));
}
