use std::os::unix::fs::MetadataExt;

use super::*;

const ROOT: &str = include_str!("../testdata/root.pem");
const OTHER_ROOT: &str = include_str!("../testdata/other_root.pem");

struct Case {
    folder: tempfile::TempDir,
    root: Certificate,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), root: Certificate::from_pem(ROOT).expect("a root") }
    }

    fn destination(&self, replace: Replace) -> Destination {
        Destination::new(
            self.folder.path().join("out"),
            FileName::of_subject("*.example.com").expect("a name"),
            replace,
        )
    }

    fn contents<'a>(&'a self, certificate: &'a str, key: &'a str) -> Contents<'a> {
        Contents { certificate, key: Some(key), pkcs12: Some(b"p12"), root: &self.root }
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.folder.path().join("out")).expect("made");
        fs::write(self.folder.path().join("out").join(name), text).expect("written");
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("out").join(name)).expect(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("out")).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_wildcard_is_written_with_an_underscore() {
    assert_eq!(FileName::of_subject("*.example.com").expect("a name").to_string(), "_.example.com");
    assert_eq!(FileName::of_subject("ana@example.com").expect("a name").to_string(), "ana@example.com");
}

#[test]
fn names_with_slashes_or_blanks_need_a_file_name() {
    for name in ["", "a/b", "Ana Souza", "..", ".hidden", "-rf", "a*b", "a\tb", "spiffe://x/y", &"a".repeat(241)] {
        let error = FileName::of_subject(name).expect_err(name).to_string();
        assert!(error.contains("--file-name"), "{error}");
    }
}

#[test]
fn writes_every_file_and_the_key_for_its_owner_alone() {
    let case = Case::new();
    let destination = case.destination(Replace::Never);
    destination.check(true, true, std::slice::from_ref(&case.root)).expect("free");
    let written = destination.write(&case.contents("leaf and chain", "key")).expect("written");
    assert_eq!(case.names(), ["_.example.com.crt", "_.example.com.key", "_.example.com.p12", "ca.crt"]);
    assert_eq!(written.len(), 4);
    assert_eq!(case.text("_.example.com.crt"), "leaf and chain");
    assert_eq!(Certificate::from_pem(&case.text("ca.crt")), Ok(case.root.clone()));
    for (file, mode) in [("_.example.com.key", 0o600), ("_.example.com.p12", 0o600), ("ca.crt", 0o644)] {
        let path = case.folder.path().join("out").join(file);
        assert_eq!(fs::metadata(path).expect("there").mode() & 0o777 & !0o022, mode & !0o022, "{file}");
    }
}

#[test]
fn nothing_is_overwritten_without_being_told_to() {
    for file in ["_.example.com.crt", "_.example.com.key", "_.example.com.p12"] {
        let case = Case::new();
        case.put(file, "precious");
        let destination = case.destination(Replace::Never);
        let error = destination.check(true, true, &[]).expect_err(file).to_string();
        assert!(error.contains(file) && error.contains("--force"), "{error}");
        // Even when it came to be after the check: nothing of ours stays.
        destination.write(&case.contents("leaf", "key")).expect_err(file);
        assert_eq!(case.text(file), "precious");
        assert_eq!(case.names(), [file]);
    }
}

#[test]
fn force_overwrites() {
    let case = Case::new();
    case.put("_.example.com.key", "old");
    case.put("ca.crt", OTHER_ROOT);
    let destination = case.destination(Replace::Overwrite);
    destination.check(true, true, std::slice::from_ref(&case.root)).expect("forced");
    destination.write(&case.contents("leaf", "key")).expect("written");
    assert_eq!(case.text("_.example.com.key"), "key");
    assert_eq!(Certificate::from_pem(&case.text("ca.crt")), Ok(case.root.clone()));
}

#[test]
fn an_identical_root_is_left_alone_and_another_refused() {
    let case = Case::new();
    // The same root with text before it, as openssl writes it.
    let annotated = format!("subject=CN = Root\n{ROOT}");
    case.put("ca.crt", &annotated);
    let destination = case.destination(Replace::Never);
    destination.check(true, true, std::slice::from_ref(&case.root)).expect("identical");
    let written = destination.write(&case.contents("leaf", "key")).expect("written");
    assert!(!written.contains(&destination.root_file()));
    assert_eq!(case.text("ca.crt"), annotated);

    for other in [OTHER_ROOT, "no certificate"] {
        let case = Case::new();
        case.put("ca.crt", other);
        let destination = case.destination(Replace::Never);
        assert!(matches!(
            destination.check(true, true, std::slice::from_ref(&case.root)),
            Err(FilesError::OtherRoot { .. })
        ));
        assert!(matches!(destination.write(&case.contents("leaf", "key")), Err(FilesError::OtherRoot { .. })));
        assert_eq!(case.names(), ["ca.crt"]);
    }
}

#[test]
fn the_files_of_a_renewed_certificate_are_kept() {
    let case = Case::new();
    let destination = case.destination(Replace::KeepOld);
    case.put("_.example.com.crt", "old certificate");
    case.put("_.example.com.key", "old key");
    case.put("_.example.com.crt.old", "older certificate");
    destination.check(true, false, std::slice::from_ref(&case.root)).expect("free");
    let contents = Contents { certificate: "new", key: Some("new key"), pkcs12: None, root: &case.root };
    destination.write(&contents).expect("written");
    assert_eq!(case.text("_.example.com.crt"), "new");
    assert_eq!(case.text("_.example.com.crt.old"), "old certificate");
    assert_eq!(case.text("_.example.com.key.old"), "old key");
}

#[test]
fn a_run_that_was_killed_leaves_no_certificate_without_its_key() {
    let order = ["_.example.com.key", "_.example.com.p12", "ca.crt", "_.example.com.crt"];
    for (index, blocked) in order.iter().enumerate() {
        let case = Case::new();
        // A folder in a file's place stops the moving there, as a kill would; what is to be overwritten is not taken back.
        // (`ca.crt` cannot be read then and stops everything before it begins.)
        fs::create_dir_all(case.folder.path().join("out").join(blocked)).expect("made");
        case.destination(Replace::Overwrite).write(&case.contents("leaf", "key")).expect_err(blocked);
        let mut there = case.names();
        there.retain(|name| name != blocked);
        let mut moved: Vec<&str> = if *blocked == "ca.crt" { Vec::new() } else { order[..index].to_vec() };
        moved.sort_unstable();
        assert_eq!(there, moved, "{blocked}");
    }
}

#[test]
fn a_certificate_called_ca_does_not_take_the_root_s_place() {
    assert_eq!(
        FileName::given("ca").expect_err("taken").to_string(),
        FilesError::Name { text: "ca".into() }.to_string()
    );
    assert!(FileName::given("ca2").is_ok());
}

#[test]
fn a_secret_is_for_its_owner_alone_and_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write_secret(&path, b"cet_secret").expect("written");
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    assert!(matches!(write_secret(&path, b"other"), Err(FilesError::Exists { .. })));
}
