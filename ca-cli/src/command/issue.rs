//! `issue`: from arguments to an order; from an issued certificate to what is printed.

use ca_core::csr::ParsedCsr;
use ca_core::name::{DistinguishedName, GeneralName};
use secrecy::SecretString;

use super::issuance::{self, KeySource, Order, describe, folder, key_type};
use super::{batch, pkcs12_password, read_csr};
use crate::args::IssueArgs;
use crate::exit::{Exit, Failure};
use crate::files::{Destination, FileName, Replace};
use crate::printer::Printer;
use crate::secret_input::SecretSource;
use crate::service::Service;
use crate::settings::{Settings, Target};
use crate::subject;

/// Issues one certificate, or those of a batch.
pub(super) async fn run(
    service: &dyn Service,
    args: &IssueArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let password = match args.pkcs12.p12 {
        true => Some(pkcs12_password(args.pkcs12.p12_password_file.as_deref(), settings).read_or_ask()?),
        false => None,
    };
    if let Some(file) = &args.batch {
        return batch::run(service, file, args, password.as_ref(), printer).await;
    }
    let (Some(profile), Some(name)) = (&args.profile, &args.name) else {
        return Err(Failure::Usage("issue what, and for whom? `ca-cli issue PROFILE NAME`".to_owned()));
    };
    let csr = args.csr.as_deref().map(read_csr).transpose()?;
    let (subject, names) = contents(name, args.subject.as_deref(), &args.names, csr.as_ref())?;
    if names.as_ref().is_some_and(|names| subject::is_host_left_out(name, names)) {
        printer.warning(format!("the certificate will not be good for {name}, which is not among its --san names"));
    }
    let file_name = match &args.files.file_name {
        Some(given) => FileName::given(given),
        None => FileName::of_subject(name),
    };
    let replace = if args.files.force { Replace::Overwrite } else { Replace::Never };
    let file_name = file_name.map_err(|error| Failure::Usage(error.to_string()))?;
    let order = Order {
        profile: profile.clone(),
        subject,
        names,
        validity: args.validity,
        key: match csr {
            Some(csr) => KeySource::Proved(csr),
            None => KeySource::Make(key_type(service, profile, args.key_type).await?),
        },
        pkcs12: password.map(|password| (name.clone(), password)),
        destination: Destination::new(folder(&args.files), file_name, replace),
    };
    let roots = service.roots().await?;
    let issued = issuance::issue(service, order, &roots, printer).await?;
    printer.result(&issued, describe)?;
    Ok(Exit::Done)
}

/// The enrolment token to authenticate with, when one is given.
pub(super) fn token(args: &IssueArgs, settings: &Settings) -> Result<Option<SecretString>, Failure> {
    if matches!(settings.target, Target::Local(_)) {
        // Who may write in the folder needs none; one in the environment is meant for a server.
        return match args.token_file {
            Some(_) => Err(Failure::Usage("an enrolment token is for a server; --local needs none".to_owned())),
            None => Ok(None),
        };
    }
    let source = SecretSource {
        what: "the enrolment token",
        flag: "--token-file",
        file: args.token_file.as_deref(),
        variable: "CA_TOKEN",
        environment: settings.environment.token.as_ref(),
    };
    source.read()
}

/// Subject and names of NAME. A signing request that has its own keeps them, unless flags say otherwise.
fn contents(
    name: &str,
    subject: Option<&str>,
    names: &[GeneralName],
    csr: Option<&ParsedCsr>,
) -> Result<(Option<DistinguishedName>, Option<Vec<GeneralName>>), Failure> {
    let wrong = |error: ca_core::name::NameError| Failure::Usage(error.to_string());
    let subject = match (subject, csr) {
        (Some(text), _) => Some(DistinguishedName::from_rfc4514(text).map_err(wrong)?),
        (None, Some(csr)) if !csr.subject().is_empty() => None,
        (None, _) => subject::subject_of(name).map_err(wrong)?,
    };
    let names = match (names, csr) {
        ([], Some(csr)) if !csr.subject_alternative_names().is_empty() => None,
        ([], _) => Some(vec![subject::alternative_name_of(name).map_err(wrong)?]),
        (names, _) => Some(names.to_vec()),
    };
    Ok((subject, names))
}

#[cfg(test)]
mod tests {
    use ca_core::key::KeyType;

    use super::*;
    use crate::key::PrivateKey;

    fn texts(names: Option<Vec<GeneralName>>) -> Option<Vec<String>> {
        names.map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn flags_say_more_than_the_name() {
        let san = [GeneralName::parse("ip:192.0.2.1").expect("a name")];
        let (subject, names) = contents("api", Some("CN=other,O=Example"), &san, None).expect("read");
        assert_eq!(subject.expect("there").to_string(), "CN=other,O=Example");
        assert_eq!(texts(names), Some(vec!["ip:192.0.2.1".to_owned()]));
    }

    #[test]
    fn a_request_that_says_nothing_gets_what_the_name_says() {
        let csr = PrivateKey::generate(KeyType::P256).expect("made").signing_request().expect("made");
        let (subject, names) = contents("api", None, &[], Some(&csr)).expect("read");
        assert_eq!(subject.expect("there").to_string(), "CN=api");
        assert_eq!(texts(names), Some(vec!["dns:api".to_owned()]));
    }

    #[test]
    fn a_request_keeps_what_it_says() {
        let key = rcgen::KeyPair::generate().expect("made");
        let parameters = rcgen::CertificateParams::new(["own.example".to_owned()]).expect("parameters");
        let csr = parameters.serialize_request(&key).expect("made");
        let csr = ParsedCsr::from_der(csr.der()).expect("read");
        let (subject, names) = contents("api", None, &[], Some(&csr)).expect("read");
        assert_eq!((subject, names), (None, None));
    }
}
