use std::{io::Write as _, time::Duration};

use bytes::Bytes;

use super::*;

const PATH: &str = "1/a/1.0.0.crate";

fn folder() -> (tempfile::TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("crates");
    create(&path).unwrap();
    (root, Folder::new(path))
}

fn spooled(path: &Path, content: &[u8]) -> CrateBody {
    let mut file = File::options().create_new(true).read(true).write(true).open(path).unwrap();
    file.write_all(content).unwrap();
    CrateBody::spooled(SpooledFile::new(file, path.into())).unwrap()
}

/// All files below a folder, by their paths.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

#[test]
fn a_body_in_memory_is_written_beside_its_place_and_renamed() {
    let (root, folder) = folder();
    let place = root.path().join("crates").join(PATH);
    for content in [["ab", "", "cde"], ["x", "y", "z"]] {
        let pieces = content.map(Bytes::from);
        folder.put(PATH, &pieces.to_vec().into()).unwrap();
        assert_eq!(files(root.path()), [&*place]);
        assert_eq!(fs::read_to_string(&place).unwrap(), content.concat());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o600);
        assert_eq!(mode(place.parent().unwrap()), 0o700);
    }
}

#[cfg(unix)]
#[test]
fn a_spooled_file_is_renamed_once_and_copied_after_that() {
    use std::os::unix::fs::MetadataExt as _;
    let (root, folder) = folder();
    let (spool, place) = (root.path().join("spool"), root.path().join("crates").join(PATH));
    let content: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let body = spooled(&spool, &content);
    let BodyPlace::Spool(file) = body.place() else { panic!("it is in a file") };
    let day_ago = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    file.file().set_modified(day_ago).unwrap();
    let first = file.file().metadata().unwrap().ino();

    let begin = SystemTime::now() - Duration::from_secs(1);
    folder.put(PATH, &body).unwrap();
    let placed = fs::metadata(&place).unwrap();
    assert_eq!(placed.ino(), first);
    assert!(placed.modified().unwrap() > begin, "it is as young as a new file");
    assert_eq!(files(root.path()), [&*place]);

    folder.put(PATH, &body).unwrap();
    assert_ne!(fs::metadata(&place).unwrap().ino(), first);
    drop(body);
    assert_eq!(files(root.path()), [&*place]);
    assert!(fs::read(&place).unwrap() == content);
}

#[cfg(target_os = "linux")]
#[test]
fn a_spooled_file_on_another_file_system_is_copied() {
    use std::os::unix::fs::MetadataExt as _;
    let (root, folder) = folder();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return eprintln!("skipped: there is no /dev/shm");
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(root.path()) {
        return eprintln!("skipped: the temporary folder is in the file system of /dev/shm");
    }
    let body = spooled(&elsewhere.path().join("spool"), b"abc");
    folder.put(PATH, &body).unwrap();
    drop(body);
    let place = root.path().join("crates").join(PATH);
    assert_eq!(fs::read(&place).unwrap(), b"abc");
    assert_eq!(files(root.path()), [place]);
    assert_eq!(files(elsewhere.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_fails_leaves_nothing() {
    let (root, folder) = folder();
    let spool = root.path().join("spool");
    // No file is renamed to a folder that is not empty.
    fs::create_dir_all(root.path().join("crates").join(PATH).join("x")).unwrap();
    folder.put(PATH, &Bytes::from("abc").into()).unwrap_err();
    assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    folder.put(PATH, &spooled(&spool, b"abc")).unwrap_err();
    assert_eq!(files(root.path()), Vec::<PathBuf>::new());
    // One that lost bytes behind our back, and has to be copied.
    let body = spooled(&spool, b"abc");
    let BodyPlace::Spool(file) = body.place() else { panic!("it is in a file") };
    file.file().set_len(2).unwrap();
    fs::remove_file(&spool).unwrap();
    let error = folder.put("1/b/1.0.0.crate", &body).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(files(root.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_is_removed_is_made_again_below_that_of_the_store() {
    let (root, folder) = folder();
    let body = CrateBody::from(Bytes::from("abc"));
    folder.put(PATH, &body).unwrap();
    fs::remove_dir_all(root.path().join("crates/1")).unwrap();
    folder.put(PATH, &body).unwrap();
    assert_eq!(files(root.path()), [root.path().join("crates").join(PATH)]);

    fs::remove_dir_all(root.path().join("crates")).unwrap();
    let spooled = spooled(&root.path().join("spool"), b"abc");
    for body in [body, spooled] {
        let error = folder.put(PATH, &body).unwrap_err();
        assert!(error.get_ref().is_some_and(|error| error.is::<Gone>()), "{error:?}");
    }
    assert!(!root.path().join("crates").exists());
}
