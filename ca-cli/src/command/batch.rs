//! `issue --batch`: a certificate for every row of a CSV file. Rows whose certificate is there are skipped, so that a run that
//! was interrupted can be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ca_core::id::ProfileName;
use ca_core::key::KeyType;
use ca_core::name::GeneralName;
use secrecy::SecretString;
use serde::Serialize;

use super::issuance::{self, KeySource, Order, folder, key_type};
use crate::args::IssueArgs;
use crate::exit::{Exit, Failure};
use crate::files::{Destination, FileName, Replace, shown};
use crate::printer::Printer;
use crate::service::Service;
use crate::subject;

/// What became of a batch.
#[derive(Debug, Default, Serialize)]
struct Summary {
    issued: u64,
    skipped: u64,
    failed: u64,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    line: usize,
    profile: ProfileName,
    name: String,
    names: Vec<GeneralName>,
    file_name: FileName,
}

/// Issues a certificate for every row. Every row is read before the first certificate is asked for.
pub(super) async fn run(
    service: &dyn Service,
    file: &Path,
    args: &IssueArgs,
    password: Option<&SecretString>,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::of_file(file, error))?;
    let rows = read(&text).map_err(|faults| {
        let listed: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure::Usage(format!("{}: nothing was issued, because some rows are wrong:{listed}", file.display()))
    })?;
    let roots = service.roots().await?;
    let mut key_types: BTreeMap<ProfileName, KeyType> = BTreeMap::new();
    for row in &rows {
        if !key_types.contains_key(&row.profile) {
            key_types.insert(row.profile.clone(), key_type(service, &row.profile, args.key_type).await?);
        }
    }
    let progress = printer.counter(rows.len() as u64, "issuing");
    let replace = if args.files.force { Replace::Overwrite } else { Replace::Never };
    let mut summary = Summary::default();
    for row in rows {
        let destination = Destination::new(folder(&args.files), row.file_name.clone(), replace);
        if replace == Replace::Never && destination.certificate_file().exists() {
            summary.skipped += 1;
            let there = destination.certificate_file();
            progress.suspend(|| printer.note(format!("skipped {}: {} is there", row.name, shown(&there))));
            progress.advance();
            continue;
        }
        let order = order_of(&row, args, password, key_types[&row.profile], destination)?;
        match issuance::issue(service, order, &roots, &printer.without_progress()).await {
            Ok(_) => summary.issued += 1,
            // Later rows would fare no better.
            Err(failure) if failure.exit() == Exit::Unreachable => {
                drop(progress);
                printer.note(format!(
                    "stopped at line {} after {} were issued; run the same again",
                    row.line, summary.issued
                ));
                return Err(failure);
            }
            Err(failure) => {
                summary.failed += 1;
                progress.suspend(|| {
                    printer.warning(format!("line {}: {} was not issued", row.line, row.name));
                    printer.failure(&failure);
                });
            }
        }
        progress.advance();
    }
    drop(progress);
    printer.result(&summary, |summary| {
        format!("{} issued, {} skipped, {} failed", summary.issued, summary.skipped, summary.failed)
    })?;
    Ok(if summary.failed == 0 { Exit::Done } else { Exit::Failed })
}

fn order_of(
    row: &Row,
    args: &IssueArgs,
    password: Option<&SecretString>,
    key_type: KeyType,
    destination: Destination,
) -> Result<Order, Failure> {
    Ok(Order {
        profile: row.profile.clone(),
        subject: subject::subject_of(&row.name).map_err(Failure::failed)?,
        names: Some(row.names.clone()),
        validity: args.validity,
        key: KeySource::Make(key_type),
        pkcs12: password.map(|password| (row.name.clone(), password.clone())),
        destination,
    })
}

/// Reads the rows `PROFILE,NAME[,SAN…]`: fields may be quoted as RFC 4180 has it, empty lines, lines that begin with `#` and a
/// heading are passed over, and a field `file-name:TEXT` says what the files are called. Every fault is told.
fn read(text: &str) -> Result<Vec<Row>, Vec<String>> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut lines_of: BTreeMap<FileName, usize> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let trimmed = line.trim_start_matches('\u{feff}').trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let row = split(trimmed).and_then(|fields| match is_heading(&fields) && rows.is_empty() {
            true => Ok(None),
            false => read_row(number, &fields).map(Some),
        });
        match row {
            Ok(None) => {}
            Ok(Some(row)) => match lines_of.insert(row.file_name.clone(), number) {
                Some(other) => faults.push(format!(
                    "line {number}: the files of `{}` would have the names of those of line {other}; add file-name:…",
                    row.name
                )),
                None => rows.push(row),
            },
            Err(fault) => faults.push(format!("line {number}: {fault}")),
        }
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push("there is no row; write `PROFILE,NAME[,SAN…]`".to_owned());
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

fn is_heading(fields: &[String]) -> bool {
    matches!(fields, [profile, name, ..] if profile == "profile" && name == "name")
}

fn read_row(line: usize, fields: &[String]) -> Result<Row, String> {
    let [profile, name, rest @ ..] = fields else {
        return Err("a row has a profile and a name, as in `client,cliente`".to_owned());
    };
    let profile = profile.parse::<ProfileName>().map_err(|error| error.to_string())?;
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    subject::subject_of(name).map_err(|error| error.to_string())?;
    let mut file_name = None;
    let mut names = Vec::new();
    for field in rest.iter().filter(|field| !field.is_empty()) {
        match field.strip_prefix(FILE_NAME) {
            Some(given) => file_name = Some(FileName::given(given)),
            None => names.push(GeneralName::parse(field).map_err(|error| error.to_string())?),
        }
    }
    if names.is_empty() {
        names.push(subject::alternative_name_of(name).map_err(|error| error.to_string())?);
    }
    let file_name = file_name.unwrap_or_else(|| FileName::of_subject(name)).map_err(|_| {
        format!("`{name}` cannot be the name of files; add a field `{FILE_NAME}NAME` (no blanks, no `/`)")
    })?;
    Ok(Row { line, profile, name: name.clone(), names, file_name })
}

/// The fields of one line (RFC 4180 §2, without line breaks inside quotes), blanks around them cut off.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let field = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = quoted_field(quoted).ok_or("a quote is not closed")?;
                rest = after.trim_start();
                if !rest.is_empty() && !rest.starts_with(',') {
                    return Err("a comma must follow a closing quote".to_owned());
                }
                field
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let field = rest[..end].trim_end().to_owned();
                rest = &rest[end..];
                field
            }
        };
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// The text up to the closing quote, doubled quotes made single, and what follows.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

const FILE_NAME: &str = "file-name:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rows_with_their_names() {
        let text = "profile,name,sans\n\n# comment\nclient,cliente\n  server , *.example.com , example.com, ip:192.0.2.1 ,\n\
                    document,\"Souza, Ana \"\"a\"\"\",ana@example.com,file-name:ana\r\n";
        let rows = read(text).expect("read");
        let shown: Vec<String> = rows
            .iter()
            .map(|row| {
                let names: Vec<String> = row.names.iter().map(ToString::to_string).collect();
                format!("{} {} {} [{}] {}", row.line, row.profile, row.name, names.join(" "), row.file_name)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "4 client cliente [dns:cliente] cliente",
                "5 server *.example.com [dns:example.com ip:192.0.2.1] _.example.com",
                "6 document Souza, Ana \"a\" [email:ana@example.com] ana",
            ]
        );
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let text = "client\nCLIENT,a\nclient,\nclient,Ana Souza\nclient,\"a\nclient,a,ip:x\nclient,b,file-name:../b\n\
                    client,c\nserver,c\nclient,\"d\"e\n";
        let faults = read(text).expect_err("faulty");
        let lines: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "line 7", "line 9", "line 10"]);
        assert!(faults[3].contains("file-name:"), "{}", faults[3]);
        assert!(faults[7].contains("line 8"), "{}", faults[7]);
        assert!(read("# nothing\n").is_err());
    }

    #[test]
    fn a_heading_is_one_only_at_the_beginning() {
        assert_eq!(read("client,a\nprofile,name\n").expect("read").len(), 2);
    }

    #[test]
    fn splits_as_rfc_4180_says() {
        for (line, fields) in [
            ("a,b", vec!["a", "b"]),
            ("a,,b,", vec!["a", "", "b", ""]),
            ("\"a,b\" , \"\"", vec!["a,b", ""]),
            ("\"\"\"\"", vec!["\""]),
        ] {
            assert_eq!(split(line).expect(line), fields, "{line}");
        }
    }
}
