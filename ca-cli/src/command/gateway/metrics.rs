//! What is told to whoever watches: a text for the textfile collector of Prometheus' node exporter.

use std::fmt::Write;

use ca_core::time::Timestamp;

use super::alarm::{AlarmKind, Findings};
use super::good::Good;

/// The state of the sidecar in Prometheus' text format. A file that grows old says that the sidecar does not run.
pub(super) fn render(
    good: Option<&Good>,
    findings: &Findings,
    heard_at: Option<Timestamp>,
    loaded_at: Option<Timestamp>,
) -> String {
    let mut text = String::new();
    let lists = good.map(Good::lists).unwrap_or_default();
    metric(
        &mut text,
        "crl_number",
        "Number of the revocation list in place.",
        lists.iter().map(|list| (label("issuer", &list.issuer), list.number.to_string())),
    );
    metric(
        &mut text,
        "crl_next_update_timestamp_seconds",
        "When the list in place ends.",
        lists.iter().map(|list| (label("issuer", &list.issuer), list.next_update.unix_seconds().to_string())),
    );
    let time = |time: Option<Timestamp>| time.map(|time| (String::new(), time.unix_seconds().to_string()));
    metric(&mut text, "service_answer_timestamp_seconds", "When the service last answered.", time(heard_at));
    metric(&mut text, "reload_timestamp_seconds", "When the gateway last read its lists.", time(loaded_at));
    metric(
        &mut text,
        "alarm",
        "1 while something is wrong.",
        AlarmKind::ALL.map(|kind| (label("kind", kind.as_str()), u8::from(findings.contains_key(&kind)).to_string())),
    );
    text
}

fn metric(text: &mut String, name: &str, help: &str, values: impl IntoIterator<Item = (String, String)>) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "# HELP ca_gateway_{name} {help}\n# TYPE ca_gateway_{name} gauge");
    for (labels, value) in values {
        let _ = writeln!(text, "ca_gateway_{name}{labels} {value}");
    }
}

fn label(name: &str, value: &str) -> String {
    let mut escaped = String::new();
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            other => escaped.push(other),
        }
    }
    format!("{{{name}=\"{escaped}\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_told_and_names_are_escaped() {
        let findings = Findings::from([(AlarmKind::Reload, "x".to_owned())]);
        let text = render(None, &findings, Some(Timestamp::from_unix_seconds(7)), None);
        assert!(text.contains("ca_gateway_alarm{kind=\"reload\"} 1\n"), "{text}");
        assert!(text.contains("ca_gateway_alarm{kind=\"list\"} 0\n"), "{text}");
        assert!(text.contains("ca_gateway_service_answer_timestamp_seconds 7\n"), "{text}");
        assert_eq!(label("issuer", "CN=a\"b\\"), "{issuer=\"CN=a\\\"b\\\\\"}");
    }
}
