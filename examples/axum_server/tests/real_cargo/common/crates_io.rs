use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::archive::index_folder;

/// Makes a local registry in `into`, anew, of what `lockfile` takes from crates.io: the index lines
/// and the files that cargo downloaded in order to build these tests.
///
/// So a test can build on crates.io without asking it. Crates for other systems are in the index,
/// as they have to be, but their files may never have been downloaded. Source for the layout:
/// Cargo book, "Source Replacement", Local Registry Sources.
pub(crate) fn local_crates_io(lockfile: &Path, into: &Path) {
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home).unwrap();
    let [indexes, caches] = ["index", "cache"].map(|kind| {
        let folders = fs::read_dir(home.join("registry").join(kind)).unwrap();
        folders.map(|folder| folder.unwrap().path()).collect::<Vec<_>>()
    });
    if into.exists() {
        fs::remove_dir_all(into).unwrap();
    }
    for (name, version) in from_crates_io(&fs::read_to_string(lockfile).unwrap()) {
        let place = Path::new(&index_folder(&name)).join(&name);
        let line = indexes.iter().find_map(|index| {
            let cached = fs::read(index.join(".cache").join(&place)).ok()?;
            index_line(&cached, &version)
        });
        let line = line.unwrap_or_else(|| panic!("cargo has not cached {name} {version}"));
        let file = into.join("index").join(place);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, format!("{before}{line}\n")).unwrap();

        let file = format!("{name}-{version}.crate");
        if let Some(cache) = caches.iter().find(|cache| cache.join(&file).exists()) {
            fs::copy(cache.join(&file), into.join(&file)).unwrap();
        }
    }
}

/// Name and version of all packages in a lockfile that come from crates.io.
fn from_crates_io(lockfile: &str) -> Vec<(String, String)> {
    let packages = lockfile.split("[[package]]").skip(1);
    let of_crates_io = packages.filter_map(|package| {
        let field = |name: &str| {
            let (_, value) = package.split_once(&format!("\n{name} = \""))?;
            Some(value.split_once('"')?.0.to_owned())
        };
        field("source")?.contains("rust-lang/crates.io-index").then_some(())?;
        Some((field("name")?, field("version")?))
    });
    of_crates_io.collect()
}

/// The line of one version in an index file as cargo caches it: a header, then a revision, then
/// each version and its line, all ended by a zero. Source: cargo,
/// `src/cargo/sources/registry/index/cache.rs`.
fn index_line(cached: &[u8], version: &str) -> Option<String> {
    const HEADER_BYTES: usize = 5;
    let mut parts = cached.get(HEADER_BYTES..)?.split(|byte| *byte == 0).skip(1);
    parts.find(|part| *part == version.as_bytes())?;
    Some(String::from_utf8(parts.next()?.to_vec()).unwrap())
}
