//! The profiles a service works with: the built-in ones, or the operator's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ca_core::profile::{Profile, ProfileFaults, built_in};
use ca_core::time::Lifetime;
use thiserror::Error;

/// The longest life of leaf certificates that `ca-server dev` issues.
pub const DEVELOPMENT_LIMIT: Lifetime = Lifetime::from_days(7);

/// The largest profile that is read, in octets.
const LARGEST: u64 = 65_536;

/// Loads the profiles. The files of `{policies}/profiles/*.toml` take the place of those built-in profiles that may be asked
/// for (all of them); the service's own are replaced one by one where a file has their name, and stay internal. Without such a
/// folder the profiles are the built-in ones.
pub fn load(policies: Option<&Path>) -> Result<Vec<Profile>, Vec<ProfileLoadFault>> {
    let mut faults = Vec::new();
    let files = policies.map(read_folder).transpose().unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    let files = files.flatten();
    let mut profiles = BTreeMap::new();
    for built_in in built_in() {
        match built_in.profile() {
            Ok(profile) if files.is_none() || profile.is_internal() => {
                profiles.insert(built_in.name.to_owned(), profile);
            }
            Ok(_) => {}
            Err(source) => {
                let file = format!("built in: {}", built_in.name).into();
                faults.push(ProfileLoadFault::Faulty { file, source });
            }
        }
    }
    for (file, name, text) in files.unwrap_or_default() {
        match read_profile(&file, &name, &text, profiles.get(&name)) {
            Ok(profile) => {
                profiles.insert(name, profile);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(profiles.into_values().collect()) } else { Err(faults) }
}

/// The same profiles for `ca-server dev`: what may be asked for lives for a week at most.
pub fn shortened_for_development(profiles: Vec<Profile>) -> Vec<Profile> {
    profiles
        .into_iter()
        .map(|profile| if profile.is_internal() { profile } else { profile.with_maximum_validity(DEVELOPMENT_LIMIT) })
        .collect()
}

type ProfileFile = (PathBuf, String, String);

/// Path, name and text of every profile of a policies folder, in the order of their names; `None` when it has no `profiles`.
fn read_folder(policies: &Path) -> Result<Option<Vec<ProfileFile>>, ProfileLoadFault> {
    let unreadable = |file: &Path, source| ProfileLoadFault::Unreadable { file: file.to_path_buf(), source };
    // That the folder itself is there is asked first: a slip in its name must not bring the built-in profiles back.
    fs::read_dir(policies).map_err(|source| unreadable(policies, source))?;
    let folder = policies.join("profiles");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|source| unreadable(&folder, source))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unreadable(&folder, source))?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let size = fs::metadata(&path).map_err(|source| unreadable(&path, source))?.len();
        if size > LARGEST {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("{size} octets are no profile"));
            return Err(unreadable(&path, source));
        }
        let text = fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
        files.push((path, name, text));
    }
    files.sort();
    Ok(Some(files))
}

fn read_profile(file: &Path, name: &str, text: &str, own: Option<&Profile>) -> Result<Profile, ProfileLoadFault> {
    let profile =
        Profile::from_toml(text).map_err(|source| ProfileLoadFault::Faulty { file: file.to_path_buf(), source })?;
    if profile.name().as_str() != name {
        let named = profile.name().to_string();
        return Err(ProfileLoadFault::OtherName { file: file.to_path_buf(), named });
    }
    match own {
        Some(own) if !profile.is_internal() || profile.kind() != own.kind() => {
            Err(ProfileLoadFault::ServicesOwn { file: file.to_path_buf() })
        }
        _ => Ok(profile),
    }
}

/// A file that cannot be used as a profile.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileLoadFault {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can be read, and is faulty.
    #[error("{}: {source}", file.display())]
    Faulty {
        /// The file.
        file: PathBuf,
        /// Every fault.
        source: ProfileFaults,
    },
    /// Its name is not that of its file.
    #[error("{}: its name is `{named}`; a profile has the name of its file", file.display())]
    OtherName {
        /// The file.
        file: PathBuf,
        /// The name inside.
        named: String,
    },
    /// It would open one of the service's own profiles to everybody, or make another kind of it.
    #[error("{}: this is one of the service's own profiles; it keeps its kind and `internal = true`", file.display())]
    ServicesOwn {
        /// The file.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("profiles")).expect("made");
        for (name, text) in files {
            fs::write(folder.path().join("profiles").join(name), text).expect("written");
        }
        folder
    }

    fn text_of(name: &str) -> &'static str {
        built_in().iter().find(|built_in| built_in.name == name).expect("built in").text
    }

    fn names(profiles: &[Profile]) -> Vec<&str> {
        profiles.iter().map(|profile| profile.name().as_str()).collect()
    }

    #[test]
    fn the_built_in_profiles_are_used_where_no_folder_is_named() {
        let profiles = load(None).expect("no fault");
        assert_eq!(profiles.len(), built_in().len());
    }

    #[test]
    fn a_folder_without_profiles_leaves_the_built_in_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(load(Some(folder.path())).expect("no fault").len(), built_in().len());
    }

    #[test]
    fn the_operator_s_take_the_place_of_those_that_may_be_asked_for() {
        let router = text_of("server").replace("name = \"server\"", "name = \"router\"");
        let folder = policies(&[("router.toml", &router), ("operator.toml", text_of("operator")), ("README.md", "")]);
        let profiles = load(Some(folder.path())).expect("no fault");
        assert_eq!(names(&profiles), ["api-server", "ocsp-responder", "operator", "root", "router", "subordinate"]);
    }

    #[test]
    fn tells_every_fault_and_the_file_it_is_in() {
        let open = text_of("operator").replace("internal = true", "internal = false");
        let folder = policies(&[
            ("one.toml", "name = \"one\"\ncolour = 1"),
            ("two.toml", text_of("client")),
            ("operator.toml", &open),
        ]);
        let faults = load(Some(folder.path())).expect_err("faulty");
        assert!(matches!(
            &faults[..],
            [
                ProfileLoadFault::Faulty { .. },
                ProfileLoadFault::ServicesOwn { .. },
                ProfileLoadFault::OtherName { named, .. }
            ] if named == "client"
        ));
        assert!(faults[0].to_string().contains("one.toml"), "{}", faults[0]);
        assert!(matches!(
            &load(Some(Path::new("/absent"))).expect_err("absent")[..],
            [ProfileLoadFault::Unreadable { .. }]
        ));
    }

    #[test]
    fn development_shortens_what_may_be_asked_for_and_nothing_else() {
        for profile in shortened_for_development(load(None).expect("no fault")) {
            let is_short = profile.maximum_validity() <= DEVELOPMENT_LIMIT;
            assert_eq!(is_short, !profile.is_internal(), "{}", profile.name());
        }
    }
}
