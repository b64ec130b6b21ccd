//! Records and the steps between them, in few words.
//!
//! Every function panics on texts that are not what it takes: these are for tests alone.

use std::sync::Arc;

use bytes::Bytes;
use semver::Version;

use crate::{
    Checksum,
    auth::{Identity, Vouched},
    entry::IndexLine,
    name::{CanonicalName, CrateName},
    owner::{Login, Owner, Owners},
    record::{
        About, CrateRecord, Origin, ReleaseRecord, ReleaseState, Stamp, Timestamp, Transition,
    },
};

/// When everything here was published: 2024-02-29T12:00:00Z.
pub const PUBLISHED_AT: Timestamp = Timestamp(1_709_208_000);

/// A crate name.
pub fn name(name: &str) -> CrateName {
    CrateName::new(name).unwrap()
}

/// The folded form of a crate name.
pub fn canonical(name: &str) -> CanonicalName {
    CanonicalName::new(name).unwrap()
}

/// A version.
pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A login.
pub fn login(login: &str) -> Login {
    Login::new(login).unwrap()
}

/// A user without a name to show.
pub fn owner(id: u32, login: &str) -> Owner {
    Owner { id, login: self::login(login), name: None }
}

/// The user who publishes everything here.
pub fn alice() -> Owner {
    Owner { name: Some("Alice".into()), ..owner(1, "alice") }
}

/// Everything that can be said of somebody.
pub fn vouched() -> Vouched {
    Vouched {
        identity: Some(Identity {
            issuer: "https://id.example.com/\"corp\"".into(),
            subject: "ä 17".into(),
        }),
        groups: ["group:corp:ui", "group:corp:guests"].into_iter().map(login).collect(),
        publishers: vec![7, (1 << 53) - 1],
    }
}

/// A write of Alice's.
pub fn stamp() -> Stamp {
    Stamp { by: alice().login, at: PUBLISHED_AT, origin: origin() }
}

/// Where the fixture's writes come from.
pub fn origin() -> Origin {
    Origin { request: Some("request-1".into()), ..Origin::default() }
}

/// The checksum of the file that contains nothing but name and version, as `foo-1.0.0`.
pub fn checksum(name: &str, version: &str) -> Checksum {
    Checksum::of(format!("{name}-{version}"))
}

/// An index line with the usual fields and `more` JSON members, such as `,"links":"z"`, at its end.
pub fn line(name: &str, version: &str, yanked: bool, more: &str) -> IndexLine {
    let checksum = checksum(name, version);
    let text = format!(
        r#"{{"name":"{name}","vers":"{version}","deps":[],"cksum":"{checksum}","features":{{}},"yanked":{yanked}{more}}}"#
    );
    IndexLine::parse(Bytes::from(text)).unwrap()
}

/// A release that is published and has the usual line.
pub fn release(name: &str, version: &str) -> ReleaseRecord {
    ReleaseRecord {
        line: line(name, version, false, ""),
        size: 1234,
        published_at: PUBLISHED_AT,
        published_by: alice().login,
        state: ReleaseState::Published,
    }
}

/// What a crate says of itself, with a description alone.
pub fn about(description: &str) -> About {
    About { description: Some(description.into()), ..About::default() }
}

/// The first publish of a crate, by Alice.
pub fn first(name: &str, version: &str) -> Transition {
    let release = release(name, version);
    CrateRecord::first(self::name(name), alice(), About::default(), release, origin())
}

/// The publish of one more version, by Alice.
pub fn publish(record: &CrateRecord, version: &str) -> Transition {
    publish_release(record, release(record.name().as_str(), version))
}

/// The publish of any release; what the crate says of itself stays.
pub fn publish_release(record: &CrateRecord, release: ReleaseRecord) -> Transition {
    record.publish(record.name(), record.about().clone(), release, origin()).unwrap()
}

/// A crate with a release in each state, and two owners.
pub fn in_every_state(name: &str) -> CrateRecord {
    let releases = ReleaseState::ALL.into_iter().enumerate().map(|(number, state)| {
        let version = format!("1.{number}.0+build");
        let line = line(name, &version, state == ReleaseState::Yanked, "");
        Arc::new(ReleaseRecord { line, state, ..release(name, &version) })
    });
    let owners = Owners::from_iter([alice(), owner(7, "bob")]);
    let about = about("in every state, \u{1f980} \"quoted\"");
    CrateRecord::from_parts(self::name(name), owners, about, releases.collect()).unwrap()
}

/// A yank that changes something, or the undoing of one.
pub fn set_yanked(record: &CrateRecord, version: &str, yanked: bool) -> Transition {
    record.set_yanked(&self::version(version), yanked, stamp()).unwrap().unwrap()
}

/// A new owner.
pub fn add_owner(record: &CrateRecord, owner: Owner) -> Transition {
    record.add_owners(&[owner], stamp()).unwrap().unwrap()
}

/// An owner less.
pub fn remove_owner(record: &CrateRecord, login: &Login) -> Transition {
    record.remove_owners(std::slice::from_ref(login), stamp()).unwrap().unwrap()
}
