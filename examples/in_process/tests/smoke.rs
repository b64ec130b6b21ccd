//! The example runs, and prints the lines that cargo would read.

use std::process::Command;

#[test]
fn both_publishes_are_in_the_index() {
    let output = Command::new(env!("CARGO_BIN_EXE_in_process")).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    let [publish, called, requested, search] = lines[..] else { panic!("{stdout}") };
    assert_eq!(
        publish,
        r#"publish: {"warnings":{"invalid_categories":[],"invalid_badges":[],"other":[]}}"#
    );
    assert!(
        called.starts_with(r#"/index/ca/ll/called: {"name":"called","vers":"0.1.0","deps":[]"#)
    );
    assert!(requested.starts_with(r#"/index/re/qu/requested: {"name":"requested","vers":"0.1.0""#));
    assert_eq!(
        search,
        r#"/api/v1/crates?q=requested: {"crates":[{"name":"requested","max_version":"0.1.0","description":null}],"meta":{"total":1}}"#
    );
}
