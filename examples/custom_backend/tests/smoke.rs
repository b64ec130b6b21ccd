//! The example runs, and what it wrote is there when it runs again.

use std::process::Command;

#[test]
fn every_run_adds_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custom_backend"));
        let output = command.arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let first = run();
    assert_eq!(first.lines().count(), 1);
    assert!(first.starts_with(r#"{"name":"counter","vers":"1.0.0","deps":[]"#), "{first}");
    let second = run();
    assert!(second.starts_with(&first), "{second}");
    assert!(second[first.len()..].starts_with(r#"{"name":"counter","vers":"2.0.0""#), "{second}");
}
