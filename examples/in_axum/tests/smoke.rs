//! Cargo, through the program.

use real_cargo::{Program, Registry as _, smoke_test};

#[test]
fn cargo_publishes_to_it_and_builds_from_it() {
    smoke_test(&Program::start(env!("CARGO_BIN_EXE_in_axum")));
}

#[test]
fn the_service_keeps_its_own_routes_and_says_who_is_asking() {
    let program = Program::start(env!("CARGO_BIN_EXE_in_axum"));
    let home = program.ask("GET", "/", &[]);
    assert!(home.starts_with("HTTP/1.1 200 OK\r\n"), "{home}");
    assert!(home.ends_with("\r\n\r\nThe registry is at /main/"), "{home}");
    let nothing = program.ask("GET", "/other", &[]);
    assert!(nothing.starts_with("HTTP/1.1 404 Not Found\r\n"), "{nothing}");
    // Only whoever has the secret that the service knows may do more than read.
    let secret = program.token("alice");
    let yank = |secret| {
        let headers = [("authorization", secret)];
        program.ask("DELETE", "/main/api/v1/crates/nothing/1.0.0/yank", &headers)
    };
    let (wrong, right) = (yank("wrong"), yank(&secret));
    assert!(wrong.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{wrong}");
    assert!(right.starts_with("HTTP/1.1 404 Not Found\r\n"), "{right}");
}
