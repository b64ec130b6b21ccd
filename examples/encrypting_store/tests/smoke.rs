//! The example runs, and says nothing of the secret.

use std::{fs, process::Command};

#[test]
fn a_file_goes_in_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let digits = "5e".repeat(32);
    let run = |text: &str| {
        fs::write(&secret, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_encrypting_store"));
        command.arg(folder.path().join("crates")).env("CRATES_SECRET_FILE", &secret);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (is_good, stdout, stderr) = run(&format!("{digits}\n"));
    assert!(is_good, "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with("private 1.0.0 ("), "{stdout}");
    assert_eq!(
        lines[1..],
        ["read back: true", "its end: true", "on disk: 16 bytes more, readable: false"]
    );
    assert!(!(stdout + &stderr).contains(&digits));

    let wrong = &digits[1..];
    let (is_good, stdout, stderr) = run(wrong);
    assert!(!is_good);
    assert!(!(stdout + &stderr).contains(wrong), "{stderr}");
}
