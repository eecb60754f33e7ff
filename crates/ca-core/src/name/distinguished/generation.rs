//! The subject of a later generation of an authority: the same name with its number in the common name.

use super::{DistinguishedName, KIND, attribute};
use crate::name::NameError;
use crate::oid;

impl DistinguishedName {
    /// The name of a generation: ` G2`, ` G3` … after the last common name (a common name of its own where there is none); the name
    /// itself for the first. Every other attribute stays octet for octet. Fails when the common name would pass 64 characters, or is
    /// no text.
    ///
    /// Generations must not share a name: some relying parties keep one CRL for each issuer name, and the list of one generation
    /// would take the place of the other's.
    pub fn of_generation(&self, number: u32) -> Result<Self, NameError> {
        if number <= 1 {
            return Ok(self.clone());
        }
        let attributes: Vec<_> = self.attributes().collect();
        let last = attributes.iter().rposition(|attribute| attribute.oid == oid::COMMON_NAME);
        let mut builder = Self::builder();
        let mut rdn = Vec::new();
        for (position, attribute) in attributes.iter().enumerate() {
            let value = match last == Some(position) {
                true => numbered(attribute.text.as_deref(), number)?,
                false => attribute.value_der.to_vec(),
            };
            rdn.push((attribute.oid, value));
            if attributes.get(position + 1).is_none_or(|next| next.rdn != attribute.rdn) {
                builder = builder.rdn_of_values(std::mem::take(&mut rdn));
            }
        }
        match last {
            Some(_) => builder.build(),
            None => builder.common_name(&format!("G{number}")).build(),
        }
    }
}

fn numbered(common_name: Option<&str>, number: u32) -> Result<Vec<u8>, NameError> {
    let fault = |why: String| NameError::new(KIND, &attribute::label(oid::COMMON_NAME), why);
    let text = common_name.ok_or_else(|| fault("it is no text that a number could follow".to_owned()))?;
    attribute::encode(oid::COMMON_NAME, &format!("{text} G{number}")).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(text: &str, number: u32) -> Result<String, NameError> {
        DistinguishedName::from_rfc4514(text).expect("a name").of_generation(number).map(|name| name.to_rfc4514())
    }

    #[test]
    fn the_last_common_name_says_the_generation() {
        assert_eq!(
            generation("CN=Cartorio TLS CA,O=Cartorio,C=BR", 1),
            Ok("CN=Cartorio TLS CA,O=Cartorio,C=BR".to_owned())
        );
        assert_eq!(
            generation("CN=Cartorio TLS CA,O=Cartorio,C=BR", 2),
            Ok("CN=Cartorio TLS CA G2,O=Cartorio,C=BR".to_owned())
        );
        assert_eq!(generation("CN=inner,CN=outer,O=Ana", 12), Ok("CN=inner G12,CN=outer,O=Ana".to_owned()));
        assert_eq!(generation("OU=a+CN=b,C=BR", 3), Ok("OU=a+CN=b G3,C=BR".to_owned()));
        assert_eq!(generation("O=Cartorio,C=BR", 2), Ok("CN=G2,O=Cartorio,C=BR".to_owned()));
    }

    #[test]
    fn other_attributes_keep_their_octets() {
        let name = DistinguishedName::from_rfc4514("CN=TLS,O=#130461626364").expect("a PrintableString organization");
        let numbered = name.of_generation(2).expect("a name").to_exact_rfc4514();
        assert!(numbered.ends_with("O=#130461626364"), "{numbered}");
    }

    #[test]
    fn a_name_that_grows_too_long_is_refused() {
        let longest = format!("CN={}", "x".repeat(62));
        assert!(generation(&longest, 2).is_err());
        assert!(generation(&format!("CN={}", "x".repeat(61)), 2).is_ok());
    }
}
