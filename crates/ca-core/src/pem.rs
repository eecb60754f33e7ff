//! PEM (RFC 7468): DER in base64 between a BEGIN and an END line.
//!
//! Encoding is strict (§3: 64 characters a line); decoding takes what people have in their files: text between the
//! blocks, any line length, CRLF. Encrypted PEM headers of RFC 1421 are not read; PKCS#8 has its own labels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// Octets of DER in one line of 64 characters.
pub const LINE_OCTETS: usize = 48;

/// The PEM block of `der`, with a line feed at its end. `label` is what stands after BEGIN: `CERTIFICATE`, `X509 CRL`,
/// `CERTIFICATE REQUEST`, `PUBLIC KEY` and so on (RFC 7468 §4).
pub fn encode(label: &str, der: &[u8]) -> String {
    let lines = der.len().div_ceil(LINE_OCTETS);
    let mut text = String::with_capacity(der.len().div_ceil(3) * 4 + lines + 2 * (label.len() + 17));
    text.extend(["-----BEGIN ", label, "-----\n"]);
    append_lines(&mut text, der);
    text.extend(["-----END ", label, "-----\n"]);
    text
}

/// Appends the lines between BEGIN and END. DER that comes in pieces gives the same lines when each but the last is a multiple of
/// [`LINE_OCTETS`] long.
pub fn append_lines(text: &mut String, der: &[u8]) {
    for line in der.chunks(LINE_OCTETS) {
        STANDARD.encode_string(line, text);
        text.push('\n');
    }
}

/// The DER of every block with `label` in `text`, in order. Blocks with other labels and what stands between blocks are
/// passed over; an error if no block has the label, or if one that has it is broken.
pub fn decode_all(label: &str, text: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        match &mut open {
            None if line == begin => open = Some(String::new()),
            None => {}
            Some(base64) if line == end => {
                let der = STANDARD.decode(&base64).map_err(|_| PemError::NotBase64 { block: blocks.len() + 1 })?;
                blocks.push(der);
                open = None;
            }
            Some(_) if line.starts_with("-----") => return Err(PemError::NotClosed { label: label.to_owned() }),
            Some(base64) => base64.push_str(line),
        }
    }
    if open.is_some() {
        return Err(PemError::NotClosed { label: label.to_owned() });
    }
    if blocks.is_empty() {
        return Err(PemError::Missing { label: label.to_owned() });
    }
    Ok(blocks)
}

/// Text that is not the PEM that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// No block of that label.
    #[error("there is no `-----BEGIN {label}-----` line")]
    Missing {
        /// The label looked for.
        label: String,
    },
    /// A block whose END line is missing or has another label.
    #[error("a `-----BEGIN {label}-----` line has no `-----END {label}-----` line after it")]
    NotClosed {
        /// The label looked for.
        label: String,
    },
    /// Characters that are not base64.
    #[error("PEM block {block} is not valid base64")]
    NotBase64 {
        /// Which block of the label, counted from 1.
        block: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_for_every_length_around_a_line() {
        for size in [0, 1, 2, 3, 47, 48, 49, 96, 1000] {
            let der: Vec<u8> = (0..size).map(|octet| octet as u8).collect();
            let text = encode("X509 CRL", &der);
            assert!(text.lines().all(|line| line.len() <= 64));
            assert_eq!(decode_all("X509 CRL", &text), Ok(vec![der]));
        }
    }

    #[test]
    fn reads_several_blocks_between_text_and_other_labels() {
        let text = format!(
            "subject=CN = a\r\n{}\r\ntext\n{}{}",
            encode("CERTIFICATE", b"one").replace('\n', "\r\n"),
            encode("PRIVATE KEY", b"no"),
            encode("CERTIFICATE", b"two")
        );
        assert_eq!(decode_all("CERTIFICATE", &text), Ok(vec![b"one".to_vec(), b"two".to_vec()]));
    }

    #[test]
    fn refuses_missing_open_and_garbled_blocks() {
        let label = || "CERTIFICATE".to_owned();
        assert_eq!(decode_all("CERTIFICATE", ""), Err(PemError::Missing { label: label() }));
        assert_eq!(decode_all("CERTIFICATE", &encode("X509 CRL", b"x")), Err(PemError::Missing { label: label() }));
        let open = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert_eq!(decode_all("CERTIFICATE", open), Err(PemError::NotClosed { label: label() }));
        let crossed = format!("{open}-----END X509 CRL-----\n");
        assert_eq!(decode_all("CERTIFICATE", &crossed), Err(PemError::NotClosed { label: label() }));
        let garbled = "-----BEGIN CERTIFICATE-----\nA*AA\n-----END CERTIFICATE-----\n";
        assert_eq!(decode_all("CERTIFICATE", garbled), Err(PemError::NotBase64 { block: 1 }));
    }
}
