//! What in HAProxy's configuration lets a session or a connection of before outlive a revocation, listener by listener.
//!
//! HAProxy prints no configuration, so its files are read as they are: sections, lines, words, quotes; of conditions (`.if`) every
//! branch. What it makes of a line is not judged here: `haproxy -c` does that.

use super::rules::CheckedServer;

/// A section: the words of its first line, and its lines.
struct Section {
    name: Vec<String>,
    lines: Vec<Vec<String>>,
}

/// Every `bind` that verifies clients. The error says what cannot be read.
pub(super) fn servers(files: &[String]) -> Result<Vec<CheckedServer>, String> {
    let mut sections: Vec<Section> = Vec::new();
    for text in files {
        // A file begins outside of any section.
        let mut inside = false;
        for (number, line) in (1..).zip(text.lines()) {
            let words = words(line).map_err(|fault| format!("line {number}: {fault}"))?;
            let Some(first) = words.first() else { continue };
            if SECTIONS.contains(&first.as_str()) {
                sections.push(Section { name: words, lines: Vec::new() });
                inside = true;
            } else if let Some(section) = sections.last_mut().filter(|_| inside) {
                section.lines.push(words);
            } else if !first.starts_with('.') {
                return Err(format!("line {number}: `{first}` stands in no section"));
            }
        }
    }
    let of_process = of_process(&sections);
    let mut checked = Vec::new();
    for section in &sections {
        for bind in section.lines.iter().filter(|words| words[0] == "bind") {
            if verifies(bind) {
                let server = format!("{} (bind {})", section.name.join(" "), bind.get(1).map_or("", String::as_str));
                checked.push(CheckedServer { server, faults: [faults(bind, &sections), of_process.clone()].concat() });
            }
        }
    }
    Ok(checked)
}

fn verifies(bind: &[String]) -> bool {
    let verify = value(bind, "verify");
    bind.iter().any(|word| word == "ssl") && verify.is_some_and(|verify| verify != "none")
}

/// What is wrong with one `bind`.
fn faults(bind: &[String], sections: &[Section]) -> Vec<String> {
    let mut faults = Vec::new();
    if value(bind, "crl-file").is_none() {
        faults.push("it learns of no revocation: set `crl-file` to the file of --crl-file".to_owned());
    }
    for ignored in ["crt-ignore-err", "ca-ignore-err"] {
        if let Some(errors) = value(bind, ignored) {
            faults.push(format!("`{ignored} {errors}` lets in whom the lists refuse; leave it out"));
        }
    }
    let by_default = || {
        let mut options = globals(sections).filter(|words| words[0] == "ssl-default-bind-options");
        options.any(|words| words.iter().any(|word| word == "no-tls-tickets"))
    };
    if bind.iter().any(|word| word == "tls-tickets")
        || !(bind.iter().any(|word| word == "no-tls-tickets") || by_default())
    {
        faults.push(
            "session tickets, which are on unless they are switched off, resume sessions without looking at the certificate \
             again; write `ssl-default-bind-options no-tls-tickets` into `global`"
                .to_owned(),
        );
    }
    faults
}

/// What is wrong with the process, and so with every listener.
fn of_process(sections: &[Section]) -> Vec<String> {
    let mut faults = Vec::new();
    let last = |name: &str| {
        let found = globals(sections).filter(|words| words[0] == name).last();
        found.map(|words| words.get(1).map_or("", String::as_str).to_owned())
    };
    match last("tune.ssl.cachesize") {
        Some(size) if size == "0" => {}
        size => faults.push(format!(
            "the session cache ({}) resumes sessions without looking at the certificate again; write `tune.ssl.cachesize 0` \
             into `global`",
            size.map_or("of 20000 unless it is set".to_owned(), |size| format!("tune.ssl.cachesize {size}"))
        )),
    }
    let stop = last("hard-stop-after");
    if stop.as_deref().and_then(seconds).is_none_or(|seconds| seconds > LONGEST_CONNECTION) {
        faults.push(format!(
            "a connection that is kept alive is never looked at again, and the process of before a reload ends only when all of \
             its connections have{}; write at most `hard-stop-after {LONGEST_CONNECTION}s` into `global`",
            stop.map_or(String::new(), |stop| format!(" or after {stop}"))
        ));
    }
    faults
}

fn globals(sections: &[Section]) -> impl Iterator<Item = &Vec<String>> {
    sections.iter().filter(|section| section.name[0] == "global").flat_map(|section| &section.lines)
}

/// The word after a keyword.
fn value<'a>(words: &'a [String], keyword: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| word == keyword)?;
    Some(words.get(place + 1).map_or("", String::as_str))
}

/// The words of a line: blanks part them, quotes and backslashes keep them, `#` begins a comment (HAProxy's manual, 2.2).
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None | Some('"'), '\\') => word.extend(characters.next()),
            (Some(_), _) => word.push(character),
            (None, '#') => break,
            (None, '"' | '\'') => (quote, begun) = (Some(character), true),
            (None, _) if character.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, _) => word.push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A time as HAProxy writes it (`90`, `60s`, `500ms`; milliseconds without a unit), in whole seconds, rounded up.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let count: u64 = text[..text.len() - digits.len()].parse().ok()?;
    let micros = match digits {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    count.checked_mul(micros).map(|micros| micros.div_ceil(1_000_000))
}

/// What begins a section (HAProxy's manual, 2 and 3 to 12).
const SECTIONS: [&str; 19] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "mailers",
    "program",
    "resolvers",
    "cache",
    "ring",
    "log-forward",
    "http-errors",
    "fcgi-app",
    "crt-store",
    "traces",
    "acme",
    "log-profile",
];

/// How long a connection of before a reload may go on, in seconds.
const LONGEST_CONNECTION: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../../../deploy/haproxy/mtls-crl.cfg");

    fn faults(text: &str) -> Vec<String> {
        let checked = servers(&[text.to_owned()]).expect("read");
        let [server] = &checked[..] else { panic!("one listener: {checked:?}") };
        server.faults.clone()
    }

    fn without(piece: &str, instead: &str) -> String {
        assert!(SHIPPED.contains(piece), "the shipped file has `{piece}`");
        SHIPPED.replace(piece, instead)
    }

    #[test]
    fn the_shipped_configuration_is_right() {
        let checked = servers(&[SHIPPED.to_owned()]).expect("read");
        assert_eq!(checked.len(), 1);
        assert!(checked[0].server.starts_with("frontend mtls (bind "), "{}", checked[0].server);
        assert_eq!(checked[0].faults, [""; 0]);
    }

    #[test]
    fn each_thing_that_outlives_a_revocation_is_told() {
        for (text, told) in [
            (without("crl-file crls.pem", ""), "learns of no revocation"),
            (without("tune.ssl.cachesize 0", ""), "of 20000 unless"),
            (without("tune.ssl.cachesize 0", "tune.ssl.cachesize 1000"), "tune.ssl.cachesize 1000"),
            (without(" no-tls-tickets", ""), "session tickets"),
            (without("verify required", "verify required tls-tickets"), "session tickets"),
            (without("verify required", "verify optional crt-ignore-err all"), "crt-ignore-err all"),
            (without("hard-stop-after 60s", ""), "hard-stop-after 60s"),
            (without("hard-stop-after 60s", "hard-stop-after 2h"), "or after 2h"),
            (without("hard-stop-after 60s", "hard-stop-after 61000"), "or after 61000"),
        ] {
            let faults = faults(&text);
            assert!(matches!(&faults[..], [only] if only.contains(told)), "{told}: {faults:?}");
        }
        let on_the_line = without(" no-tls-tickets", "").replace("verify required", "verify required no-tls-tickets");
        assert_eq!(faults(&on_the_line), [""; 0]);
    }

    #[test]
    fn listeners_that_verify_nobody_are_passed_over_and_files_add_up() {
        let plain = "frontend a\n bind :80\n bind :443 ssl crt x.pem\n bind :444 ssl crt x.pem verify none\n";
        assert_eq!(servers(&[plain.to_owned()]), Ok(vec![]));
        assert_eq!(servers(&[SHIPPED.to_owned(), plain.to_owned()]).map(|checked| checked.len()), Ok(1));
        let global = "global\n tune.ssl.cachesize 500\n";
        let checked = servers(&[SHIPPED.to_owned(), global.to_owned()]).expect("read");
        assert!(checked[0].faults[0].contains("500"), "the last one counts: {checked:?}");
    }

    #[test]
    fn words_are_read_as_haproxy_reads_them() {
        let read = words(r#" bind "${A-:443}" crt 'a b' c\ d # ssl verify none"#).expect("read");
        assert_eq!(read, ["bind", "${A-:443}", "crt", "a b", "c d"]);
        assert!(words("bind \"x").is_err());
        assert!(servers(&["maxconn 5\n".to_owned()]).expect_err("no section").contains("line 1"));
    }
}
