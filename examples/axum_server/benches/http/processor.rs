//! On which core something runs, and how much of it it takes. Source: proc(5).

use std::{fs, process::Command, time::Duration};

/// Moves this process to one core, and with it what it starts from now on.
pub(crate) fn pin(core: usize) {
    let (core, process) = (core.to_string(), std::process::id().to_string());
    let output = Command::new("taskset").args(["-a", "-c", "-p", &core, &process]).output();
    let output = output.expect("there is a `taskset`, of util-linux");
    assert!(output.status.success(), "{output:?}");
}

/// What a process and its children, as nginx has them, have taken of a processor until now.
pub(crate) fn time_of_all(process: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().map(|child| time_of_all(child.parse().unwrap()));
    time(process) + children.sum::<Duration>()
}

/// What a process alone has taken of it.
pub(crate) fn time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in brackets, may have spaces.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |field: usize| fields.split(' ').nth(field).unwrap().parse::<u64>().unwrap();
    // `utime` and `stime`, of all threads. There are 100 ticks in a second wherever Linux runs.
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
