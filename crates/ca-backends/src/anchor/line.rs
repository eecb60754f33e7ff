//! A line of the log: its length and the beginning of its SHA-256, then a revocation as JSON.
//!
//! Length and digest tell a line that was cut off, as by a loss of power, from one that somebody changed.

use ca_core::hash::sha256;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Timestamp;
use ca_engine::port::anchor::AnchoredRevocation;
use ca_engine::port::store::RevocationRow;
use serde_json::{Value, json};

/// No line is longer, in octets: names of authorities have 63 at most.
pub(super) const LONGEST: usize = 1_024;

/// Octets of the digest that a line carries.
const DIGEST: usize = 8;

/// The line of a revocation, its end included.
pub(super) fn write(revocation: &AnchoredRevocation) -> String {
    let AnchoredRevocation { row, blocked_key } = revocation;
    let (reason, revoked_at, invalidity_date) = match row.standing {
        Standing::Active => (None, None, None),
        Standing::Revoked(revocation) => {
            (Some(revocation.reason.as_str()), Some(revocation.revoked_at), revocation.invalidity_date)
        }
    };
    let content = json!({
        "sequence": row.sequence,
        "authority": row.authority.as_str(),
        "serial": row.serial.to_string(),
        "reason": reason,
        "revoked_at": revoked_at.map(Timestamp::unix_millis),
        "invalidity_date": invalidity_date.map(Timestamp::unix_millis),
        "not_after": row.not_after.unix_millis(),
        "blocked_key": blocked_key.map(hex::encode),
    })
    .to_string();
    format!("{:04} {} {content}\n", content.len(), digest(&content))
}

/// Reads a line without its end; `None` when it is not what was written.
pub(super) fn read(line: &str) -> Option<AnchoredRevocation> {
    let (length, rest) = line.split_once(' ')?;
    let (checksum, content) = rest.split_once(' ')?;
    if length.parse() != Ok(content.len()) || checksum != digest(content) {
        return None;
    }
    let value: Value = serde_json::from_str(content).ok()?;
    let instant = |name| value.get(name).and_then(Value::as_i64).map(Timestamp::from_unix_millis);
    let standing = match value.get("reason")?.as_str() {
        None => Standing::Active,
        Some(reason) => Standing::Revoked(Revocation {
            reason: reason.parse::<RevocationReason>().ok()?,
            revoked_at: instant("revoked_at")?,
            invalidity_date: instant("invalidity_date"),
        }),
    };
    let blocked_key = match value.get("blocked_key")?.as_str() {
        None => None,
        Some(text) => Some(<[u8; 32]>::try_from(hex::decode(text).ok()?).ok()?),
    };
    let row = RevocationRow {
        sequence: value.get("sequence")?.as_u64()?,
        authority: value.get("authority")?.as_str()?.parse().ok()?,
        serial: value.get("serial")?.as_str()?.parse().ok()?,
        standing,
        not_after: instant("not_after")?,
    };
    Some(AnchoredRevocation { row, blocked_key })
}

fn digest(content: &str) -> String {
    hex::encode(&sha256(content.as_bytes())[..DIGEST])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(standing: Standing) -> AnchoredRevocation {
        let row = RevocationRow {
            sequence: u64::MAX,
            authority: "a".repeat(63).parse().expect("an authority id"),
            serial: "7f".repeat(20).parse().expect("a serial"),
            standing,
            not_after: Timestamp::from_unix_millis(i64::MAX),
        };
        AnchoredRevocation { row, blocked_key: Some([0xff; 32]) }
    }

    #[test]
    fn is_read_as_it_was_written_and_bounded() {
        let at = Timestamp::from_unix_millis(i64::MIN);
        for standing in RevocationReason::ALL
            .into_iter()
            .map(|reason| Standing::Revoked(Revocation { revoked_at: at, reason, invalidity_date: Some(at) }))
            .chain([Standing::Active])
        {
            let line = write(&revocation(standing));
            assert!(line.len() < LONGEST, "{}", line.len());
            assert_eq!(line.strip_suffix('\n').and_then(read), Some(revocation(standing)));
        }
    }

    #[test]
    fn every_change_of_a_line_is_noticed() {
        let line = write(&revocation(Standing::Active));
        let line = line.trim_end();
        for index in 0..line.len() {
            let mut octets = line.as_bytes().to_vec();
            octets[index] = if octets[index] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(octets).expect("ASCII");
            assert_eq!(read(&changed), None, "octet {index}");
            assert_eq!(read(&line[..index]), None, "{index} octets");
        }
    }
}
