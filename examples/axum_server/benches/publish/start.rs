//! From the start of a server that has 200,000 crates to its first answer, and what it takes of memory.

use std::{fs, path::Path, time::Instant};

use registry_core::{
    CrateName, CrateRecord, Index as _, IndexLine, Login, Owner, Owners,
    record::{About, Origin, ReleaseRecord, ReleaseState, Stamp, Timestamp},
    store::CrateKey,
};
use registry_index::sqlite::SqliteDatabase;
use registry_storage::layout::path_of;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    Effort, Goal,
    common::{Spread, client::Connection, server::Server},
    folder,
};

const CRATES: usize = 200_000;
/// Crates that are brought in at the same time: as many as share one transaction.
const IMPORTERS: usize = 64;
const MEGABYTE: f64 = 1e6;

pub(crate) fn measure(effort: Effort) {
    println!("\nstart and memory");
    let empty = folder();
    let server = Server::start(empty.path(), &[]);
    get(&server.address, "/main/index/config.json");
    memory("empty, at its start", &server);

    let (folder, crates) = (folder(), effort.of(CRATES, 1_000));
    let began = Instant::now();
    fill(folder.path(), crates);
    println!(
        "  {:>30}  {:.0} s",
        format!("{crates} crates are made in"),
        began.elapsed().as_secs_f64()
    );
    let path = |number: usize| {
        let name = CrateName::new(&name(number * 7919 % crates)).unwrap();
        format!("/main/index/{}", name.sparse_path())
    };
    let starts = (0..effort.of(9, 2)).map(|start| {
        let began = Instant::now();
        let server = Server::start(folder.path(), &[]);
        get(&server.address, &path(start));
        began.elapsed()
    });
    let spread = Spread::of(starts.collect());
    let seconds = spread.median.as_secs_f64();
    println!("  {:>30}  {spread} ({})", "start to first answer", Goal::AtMost(1.0).of(seconds));

    let server = Server::start(folder.path(), &[]);
    get(&server.address, &path(0));
    memory(&format!("{crates} crates, at its start"), &server);
    let mut connection = Connection::open(&server.address);
    for number in 0..1_000 {
        assert_eq!(connection.skim(&path(number), &[]).0, 200);
    }
    memory("after 1,000 index files", &server);
}

fn get(address: &str, path: &str) {
    assert_eq!(Connection::open(address).skim(path, &[]).0, 200, "{path}");
}

fn memory(what: &str, server: &Server) {
    let megabytes = server.memory().0 as f64 / MEGABYTE;
    let goal = Goal::AtMost(30.0).of(megabytes);
    println!("  {what:>30}  {megabytes:.1} MB resident ({goal})");
}

/// Makes the crates and their files as publishes would have, but for the waits for the disk.
fn fill(folder: &Path, crates: usize) {
    // Makes the data folder, and the user who owns all.
    Server::start(folder, &[]).token();
    let index = SqliteDatabase::open(folder.join("data/index.sqlite")).unwrap().index("main");
    let files = folder.join("data/crates");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut importers = JoinSet::new();
        for importer in 0..IMPORTERS {
            let (index, files) = (index.clone(), files.clone());
            importers.spawn(async move {
                for number in (importer..crates).step_by(IMPORTERS) {
                    let record = record(number);
                    write_file(&files, &record);
                    let (record, change) = record.imported(stamp());
                    index.commit(None, &change, &record).await.unwrap();
                }
            });
        }
        importers.join_all().await;
    });
}

/// Scattered over the folders as names are.
fn name(number: usize) -> String {
    let mix = (number as u32).wrapping_mul(2_654_435_769);
    let letter = |place: u32| char::from(b'a' + (mix >> (8 * place)) as u8 % 26);
    format!("{}{}{}{}{number}", letter(0), letter(1), letter(2), letter(3))
}

fn record(number: usize) -> CrateRecord {
    let (name, by) = (name(number), stamp().by);
    let line = format!(
        r#"{{"name":"{name}","vers":"1.0.0","deps":[],"cksum":"{number:064x}","features":{{}},"yanked":false}}"#
    );
    let release = ReleaseRecord {
        line: IndexLine::parse(line.into()).unwrap(),
        size: 0,
        published_at: stamp().at,
        published_by: by.clone(),
        state: ReleaseState::Published,
    };
    let owners = Owners::from_iter([Owner { id: 1, login: by, name: None }]);
    let name = CrateName::new(&name).unwrap();
    CrateRecord::from_parts(name, owners, About::default(), vec![release.into()]).unwrap()
}

/// An empty one: nobody reads it.
fn write_file(files: &Path, record: &CrateRecord) {
    let release = &record.releases()[0];
    let key = CrateKey {
        name: record.name().clone(),
        version: release.version().clone(),
        checksum: release.line.checksum(),
    };
    let file = files.join(path_of(&key).as_ref());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "").unwrap();
}

fn stamp() -> Stamp {
    let by = Login::new("bench").unwrap();
    Stamp { by, at: Timestamp(1_767_225_600), origin: Origin::default() }
}
