use super::{
    explorer::{Found, explore},
    protocol::{Broken, Protocol, Store},
};

/// A commit is begun within a tick of storing the file and takes no more than another: so it has
/// taken effect within two, and what is aside for longer is safe to judge.
const FOLDER: Protocol = Protocol {
    store: Store::Folder,
    publishers: 1,
    collectors: 2,
    limit: 1,
    grace: 2,
    commit_takes: 1,
    move_takes: 0,
    may_oversleep: false,
    broken: None,
};

/// A removal may come a tick late, so it takes a tick more.
const BUCKET: Protocol = Protocol { store: Store::Bucket, grace: 3, move_takes: 1, ..FOLDER };

/// All is well, in more than so many states.
#[track_caller]
fn assert_sound(protocol: Protocol, at_least: usize) {
    match explore(&protocol) {
        Found::Nothing { states } => assert!(states > at_least, "{states} states"),
        wrong => panic!("{wrong:#?}"),
    }
}

/// A line loses its file, and it takes so many steps.
#[track_caller]
fn assert_lossy(protocol: Protocol, steps_to_loss: usize) {
    match explore(&protocol) {
        Found::Wrong { what, steps } => {
            assert_eq!(what, "a line names a file that cannot be read", "{steps:#?}");
            assert_eq!(steps.len(), steps_to_loss, "{:?}: {steps:#?}", protocol.broken);
        }
        nothing => panic!("{nothing:?}"),
    }
}

fn breaking(protocol: Protocol, rule: Broken) -> Protocol {
    Protocol { broken: Some(rule), ..protocol }
}

#[test]
fn two_collectors_leave_every_line_its_file_in_a_folder() {
    assert_sound(FOLDER, 40_000);
}

#[test]
fn two_collectors_leave_every_line_its_file_in_a_bucket() {
    assert_sound(BUCKET, 150_000);
}

#[test]
fn two_publishers_of_the_same_bytes_keep_their_file() {
    assert_sound(Protocol { publishers: 2, collectors: 1, ..FOLDER }, 150_000);
}

#[test]
#[ignore = "takes some minutes without optimization"]
fn two_publishers_and_two_collectors_get_along_in_a_folder() {
    assert_sound(Protocol { publishers: 2, ..FOLDER }, 600_000);
}

#[test]
fn a_publisher_that_oversleeps_its_commit_makes_up_for_it() {
    for (store, steps_to_loss) in [(FOLDER, 15), (BUCKET, 17)] {
        let oversleeps = Protocol { collectors: 1, may_oversleep: true, ..store };
        assert_sound(oversleeps, 5_000);
        assert_lossy(breaking(oversleeps, Broken::NoRuleB), steps_to_loss);
    }
}

/// Nothing in the protocol is there for nothing.
#[test]
fn without_any_one_rule_a_line_loses_its_file() {
    let folder = Protocol { collectors: 1, ..FOLDER };
    let bucket = Protocol { collectors: 1, ..BUCKET };
    for (protocol, rule, steps_to_loss) in [
        (folder, Broken::RemovesInPlace, 7),
        (folder, Broken::AsideIsNotRead, 7),
        (folder, Broken::NoRuleA, 14),
        (folder, Broken::AgeFromTheAnswer, 15),
        (folder, Broken::PurgesUnasked, 7),
        (folder, Broken::PurgesYoung, 11),
        (FOLDER, Broken::OneEntryOnly, 17),
        (bucket, Broken::MovesSlowly, 16),
        (bucket, Broken::EndsYoungEntry, 12),
    ] {
        assert_lossy(breaking(protocol, rule), steps_to_loss);
    }
}

/// The grace is as long as the longest way from storing a file to its line, and no longer.
#[test]
fn a_tick_less_of_grace_is_too_little() {
    for (store, steps_to_loss) in [(FOLDER, 16), (BUCKET, 17)] {
        let hasty = Protocol { grace: store.grace - 1, collectors: 1, ..store };
        assert_lossy(hasty, steps_to_loss);
    }
}

/// What a collection looks at right before and after a move spares needless moves, and a file the
/// time aside. No promise rests on it.
#[test]
fn what_only_spares_moves_is_no_rule() {
    for store in [FOLDER, BUCKET] {
        let store = Protocol { collectors: 1, ..store };
        assert_sound(breaking(store, Broken::MovesYoung), 5_000);
        assert_sound(breaking(store, Broken::LooksOnce), 5_000);
    }
}
