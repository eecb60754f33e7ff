//! `profile`: what each kind of certificate may contain.

use ca_api::profile::Profile;

use super::list::wire_name;
use super::show::lines;
use crate::args::ProfileCommand;
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;

/// Lists the profiles, or shows one.
pub(super) async fn run(service: &dyn Service, command: &ProfileCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        ProfileCommand::List => {
            let profiles = service.profiles().await?;
            printer.result(&profiles, |profiles| {
                printer.table(
                    ["PROFILE", "AUTHORITY", "VALIDITY", "AT MOST", "PURPOSES", "KEY TYPES"],
                    profiles.iter().map(|profile| {
                        [
                            profile.name.clone(),
                            profile.authority.clone(),
                            profile.default_validity.clone(),
                            profile.maximum_validity.clone(),
                            profile.extended_key_usage.join(" "),
                            profile.key_types.join(" "),
                        ]
                    }),
                )
            })?;
        }
        ProfileCommand::Show { name } => printer.result(&service.profile(name).await?, describe)?,
    }
    Ok(Exit::Done)
}

fn describe(profile: &Profile) -> String {
    let name_types: Vec<String> = profile.subject_alternative_name_types.iter().map(wire_name).collect();
    let yes = |is: bool| if is { "yes".to_owned() } else { String::new() };
    lines(&[
        ("Profile", profile.name.clone()),
        ("Authority", profile.authority.clone()),
        ("Validity", format!("{}, at most {}", profile.default_validity, profile.maximum_validity)),
        ("Key types", profile.key_types.join(", ")),
        ("Key usage", profile.key_usage.join(", ")),
        ("Purposes", profile.extended_key_usage.join(", ")),
        ("Names", name_types.join(", ")),
        ("Policies", profile.certificate_policies.join(", ")),
        ("Must staple", yes(profile.must_staple)),
        ("Personal data", yes(profile.personal_data)),
    ])
}
