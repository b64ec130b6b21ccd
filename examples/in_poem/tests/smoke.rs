//! Cargo, through the program.

use real_cargo::{Program, smoke_test};

#[test]
fn cargo_publishes_to_it_and_builds_from_it() {
    smoke_test(&Program::start(env!("CARGO_BIN_EXE_in_poem")));
}
