//! Random sequences of wishes, against a model that knows nothing of records.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::owner::Owner;

#[derive(Clone, Debug)]
enum Wish {
    Publish { spelling: &'static str, version: &'static str, publisher: &'static str },
    SetYanked { version: &'static str, yanked: bool },
    AddOwners(Vec<&'static str>),
    RemoveOwners(Vec<&'static str>),
}

const LOGINS: [&str; 4] = ["alice", "bob", "carol", "Bob"];
/// Few, so that they meet; some differ only in what does not make another version.
const VERSIONS: [&str; 8] =
    ["0.1.0", "0.1.0+a", "0.1.0+b", "1.0.0-a", "1.0.0-A", "1.0.0", "1.10.0", "1.9.0+a"];

fn wish() -> impl Strategy<Value = Wish> {
    let spelling = prop_oneof![9 => Just("Foo-Bar"), 1 => select(&["foo-bar", "Foo_Bar"][..])];
    let version = select(&VERSIONS[..]);
    let someone = select(&LOGINS[..]);
    prop_oneof![
        4 => (spelling, version.clone(), someone.clone()).prop_map(
            |(spelling, version, publisher)| Wish::Publish { spelling, version, publisher }
        ),
        3 => (version, any::<bool>())
            .prop_map(|(version, yanked)| Wish::SetYanked { version, yanked }),
        2 => vec(someone.clone(), 0..3).prop_map(Wish::AddOwners),
        2 => vec(someone, 0..3).prop_map(Wish::RemoveOwners),
    ]
}

/// What a crate is, in words of its own.
#[derive(Clone)]
struct Model {
    owners: Vec<&'static str>,
    /// The versions without build metadata, each with its place, its full text, and `yanked`.
    versions: BTreeMap<&'static str, (usize, &'static str, bool)>,
}

impl Model {
    /// Whether something changes, or with what words it is refused.
    fn apply(&mut self, wish: &Wish) -> Result<bool, String> {
        match wish {
            Wish::Publish { spelling, version, .. } => {
                if *spelling != "Foo-Bar" {
                    return Err("crate was previously named `Foo-Bar`".into());
                }
                let unique = version.split('+').next().unwrap();
                if self.versions.contains_key(unique) {
                    return Err(format!("crate version `{unique}` is already uploaded"));
                }
                self.versions.insert(unique, (self.versions.len(), version, false));
                Ok(true)
            }
            Wish::SetYanked { version, yanked } => {
                let unique = version.split('+').next().unwrap();
                match self.versions.get_mut(unique) {
                    Some((_, full, was)) if full == version => {
                        Ok(std::mem::replace(was, *yanked) != *yanked)
                    }
                    _ => Err(format!("crate `Foo-Bar` does not have a version `{version}`")),
                }
            }
            Wish::AddOwners(wanted) => {
                let before = self.owners.len();
                for one in wanted {
                    if !self.owners.contains(one) {
                        self.owners.push(one);
                    }
                }
                Ok(self.owners.len() > before)
            }
            Wish::RemoveOwners(unwanted) => {
                if let Some(other) = unwanted.iter().find(|one| !self.owners.contains(one)) {
                    return Err(format!("could not find owner with login `{other}`"));
                }
                if unwanted.is_empty() {
                    return Ok(false);
                }
                if self.owners.iter().all(|owner| unwanted.contains(owner)) {
                    return Err("cannot remove all individual owners of a crate".into());
                }
                self.owners.retain(|owner| !unwanted.contains(owner));
                Ok(true)
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut versions: Vec<_> = self.versions.values().collect();
        versions.sort();
        let line = |(_, version, yanked): &(usize, &str, bool)| {
            let checksum = crate::Checksum::of(format!("Foo-Bar-{version}"));
            format!(
                r#"{{"name":"Foo-Bar","vers":"{version}","deps":[],"cksum":"{checksum}","features":{{}},"yanked":{yanked}}}"#
            )
        };
        versions.into_iter().map(line).collect()
    }
}

fn user(login: &str) -> Owner {
    let id = LOGINS.iter().position(|other| *other == login).unwrap();
    owner(u32::try_from(id).unwrap(), login)
}

fn decide(record: &CrateRecord, wish: &Wish) -> Result<Option<Transition>, Refusal> {
    match wish {
        Wish::Publish { spelling, version, publisher } => {
            let release =
                ReleaseRecord { published_by: login(publisher), ..release(spelling, version) };
            record.publish(&name(spelling), about(version), release, Origin::default()).map(Some)
        }
        Wish::SetYanked { version: text, yanked } => {
            record.set_yanked(&version(text), *yanked, stamp())
        }
        Wish::AddOwners(logins) => {
            let owners: Vec<_> = logins.iter().map(|login| user(login)).collect();
            record.add_owners(&owners, stamp())
        }
        Wish::RemoveOwners(logins) => {
            let logins: Vec<_> = logins.iter().map(|one| login(one)).collect();
            record.remove_owners(&logins, stamp())
        }
    }
}

/// What a backend of rows makes of a change, which sees nothing else of the next record.
fn apply_by_rows(before: &CrateRecord, change: &Change) -> (Vec<Owner>, Vec<Arc<ReleaseRecord>>) {
    let mut owners: Vec<Owner> = before.owners().iter().cloned().collect();
    let mut releases = before.releases().to_vec();
    match &change.kind {
        ChangeKind::Published(release) => releases.push(release.clone()),
        ChangeKind::YankedSet(release) => {
            for row in releases.iter_mut().filter(|row| row.version() == release.version()) {
                *row = release.clone();
            }
        }
        ChangeKind::OwnersAdded(added) => owners.extend(added.iter().cloned()),
        ChangeKind::OwnersRemoved(removed) => owners.retain(|owner| !removed.contains(owner)),
        ChangeKind::Imported(_) => unreachable!("nobody wishes for it"),
    }
    (owners, releases)
}

proptest! {
    #[test]
    fn a_record_does_as_its_model(
        first_version in select(&VERSIONS[..]),
        wishes in vec(wish(), 0..60),
    ) {
        let unique = first_version.split('+').next().unwrap();
        let versions = BTreeMap::from([(unique, (0, first_version, false))]);
        let mut model = Model { owners: vec!["alice"], versions };
        let (mut record, _) = CrateRecord::first(
            name("Foo-Bar"),
            user("alice"),
            about(first_version),
            release("Foo-Bar", first_version),
            Origin::default(),
        );
        for wish in wishes {
            let lines_before = model.lines();
            let expected = model.apply(&wish);
            let outcome = decide(&record, &wish);
            let change = match outcome {
                Err(refusal) => {
                    prop_assert_eq!(Err(refusal.to_string()), expected, "{:?}", wish);
                    continue;
                }
                Ok(None) => {
                    prop_assert_eq!(expected, Ok(false), "{:?}", wish);
                    continue;
                }
                Ok(Some((next, change))) => {
                    prop_assert_eq!(expected, Ok(true), "{:?}", wish);
                    let (owners, releases) = apply_by_rows(&record, &change);
                    prop_assert_eq!(&owners[..], &next.owners().iter().cloned().collect::<Vec<_>>());
                    prop_assert_eq!(&releases[..], next.releases());
                    if !matches!(change.kind, ChangeKind::Published(_)) {
                        prop_assert_eq!(next.about(), record.about());
                    }
                    record = next;
                    change
                }
            };
            prop_assert_eq!(&change.name, &name("Foo-Bar"));
            prop_assert!(record.shows(&change));

            // One line for a version (I2), of one spelling; and the lines of the model, in order.
            let lines = model.lines();
            let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(text_of(&record), body);
            // Lines change only in `yanked`, and their order stays (I5).
            let unyanked = |lines: &[String]| -> Vec<String> {
                lines.iter().map(|line| line.replace(r#""yanked":true"#, r#""yanked":false"#)).collect()
            };
            prop_assert!(unyanked(&lines).starts_with(&unyanked(&lines_before)));
            // Somebody owns it (I7).
            prop_assert!(!record.owners().is_empty());
            prop_assert_eq!(logins(&record), model.owners.clone());

            // The highest version ever published speaks for the crate.
            let highest = record.releases().iter().map(|release| release.version()).max().unwrap();
            prop_assert_eq!(record.about(), &about(&highest.to_string()));
            // What storage gives back is a record, and the same one.
            let again = CrateRecord::from_parts(
                record.name().clone(),
                record.owners().clone(),
                record.about().clone(),
                record.releases().to_vec(),
            );
            prop_assert_eq!(again.as_ref(), Ok(&record));
        }
    }
}
