//! Every action × credential × scope × policy × ownership × visibility, through the whole service,
//! against an oracle that is written from the documented rules alone.

#[path = "../common/mod.rs"]
mod common;
mod forms;
mod oracle;
mod table;
mod world;

use std::{collections::BTreeMap, sync::Arc};

use registry_core::auth::CredentialForms;

use crate::{
    oracle::{Answered, Row, expected},
    table::{ACTS, Act, Comes, HOUSES, NAMES, Names, OWNED, Owned, comers},
    world::{Door, Sent, World},
};

/// Which rows there were, and which of them were answered otherwise than expected.
#[derive(Default)]
struct Rows {
    number: usize,
    statuses: BTreeMap<u16, usize>,
    wrong: Vec<String>,
}

impl Rows {
    fn add(&mut self, row: Row, by: &str, answered: &Answered, expected: &Answered) {
        if answered != expected {
            self.wrong.push(format!("{row:?} by {by}: {answered:?}, expected {expected:?}"));
        }
        *self.statuses.entry(expected.status).or_default() += 1;
        self.number += 1;
    }

    /// Each answer is there often, so that no rule is tried by one row alone.
    fn check(&self, least: usize, statuses: &[u16]) {
        let Self { number, statuses: counted, wrong } = self;
        println!("{number} rows, by status: {counted:?}");
        assert!(wrong.is_empty(), "{} of {number} rows:\n{}", wrong.len(), wrong.join("\n"));
        assert!(*number >= least, "{number}");
        assert_eq!(counted.keys().copied().collect::<Vec<_>>(), statuses);
        assert!(counted.values().all(|rows| *rows >= 30), "{counted:?}");
    }
}

/// By a credential that is the name of who comes.
async fn all_comers(rows: &mut Rows, world: &World, row: Row) {
    let comers = comers();
    let door = Arc::new(Door::for_all(&comers));
    for (who, comes) in &comers {
        let headers = match comes {
            Comes::WithNothing => vec![],
            _ => vec![(*who).to_owned()],
        };
        let sent = Sent { headers, ..Sent::default() };
        let answered = world.answer(row, door.clone(), CredentialForms::default(), &sent).await;
        rows.add(row, who, &answered, &expected(comes, row));
    }
}

#[tokio::test]
async fn every_row_of_the_table_is_as_the_rules_say() {
    let (world, mut rows) = (World::new().await, Rows::default());
    for owned in OWNED {
        for house in HOUSES {
            for private in [false, true] {
                for act in ACTS {
                    let row = Row { act, house, names: Names::Free, owned, private };
                    all_comers(&mut rows, &world, row).await;
                }
            }
        }
    }
    rows.check(10_000, &[200, 400, 401, 403, 404]);
}

#[tokio::test]
async fn new_names_are_for_whom_they_are_meant_and_old_ones_are_not_asked_about() {
    let (world, mut rows) = (World::new().await, Rows::default());
    for owned in [Owned::Absent, Owned::ByAlice, Owned::ByGroup] {
        for house in HOUSES {
            for names in NAMES {
                for act in [Act::Index, Act::Publish, Act::Yank] {
                    let row = Row { act, house, names, owned, private: false };
                    all_comers(&mut rows, &world, row).await;
                }
            }
        }
    }
    rows.check(5_000, &[200, 401, 403, 404]);
}
