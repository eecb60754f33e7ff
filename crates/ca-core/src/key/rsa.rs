//! Weaknesses of RSA moduli and exponents that can be seen from the public key alone.
//!
//! What is checked follows Boulder's `goodkey` and the CA/Browser Forum's Baseline Requirements §6.1.1.3 and §6.1.6.
//! Debian's weak keys (CVE-2008-0166) are not looked for: that takes a list of all of them.

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};
use num_bigint::BigUint;

use super::algorithm::KeyType;
use super::error::KeyError;

/// Reads an RSAPublicKey (RFC 8017 §A.1.1) and refuses a weak one.
pub(super) fn check(der: &[u8]) -> Result<KeyType, KeyError> {
    let malformed = |error: der::Error| KeyError::Malformed { detail: error.to_string() };
    let key = RsaPublicKey::from_der(der).map_err(malformed)?;
    if key.to_der().map_err(malformed)? != der {
        return Err(KeyError::Malformed { detail: "the RSAPublicKey is not the canonical encoding".to_owned() });
    }
    let modulus = BigUint::from_bytes_be(key.modulus.as_bytes());
    let key_type = match modulus.bits() {
        2048 => KeyType::Rsa2048,
        3072 => KeyType::Rsa3072,
        4096 => KeyType::Rsa4096,
        bits => return Err(KeyError::RsaModulusLength { bits }),
    };
    check_exponent(key.public_exponent.as_bytes())?;
    if let Some(factor) = small_factor(&modulus) {
        return Err(KeyError::RsaSmallFactor { factor });
    }
    if has_roca_fingerprint(&modulus) {
        return Err(KeyError::RsaRoca);
    }
    if has_close_factors(&modulus) {
        return Err(KeyError::RsaCloseFactors);
    }
    Ok(key_type)
}

/// RSAPublicKey (RFC 8017 §A.1.1), borrowed; `UintRef` refuses negative and padded numbers.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

/// Odd, at least 2^16 + 1 (Baseline Requirements §6.1.6) and below 2^32, past which verifiers give up.
fn check_exponent(octets: &[u8]) -> Result<(), KeyError> {
    let refused = |exponent: String| Err(KeyError::RsaExponent { exponent });
    if octets.len() > 8 {
        // At most 20 octets of evidence: an exponent may be as long as the modulus.
        return refused(format!("0x{}…", hex::encode(&octets[..octets.len().min(20)])));
    }
    let exponent = octets.iter().fold(0_u64, |value, octet| value << 8 | u64::from(*octet));
    if exponent % 2 == 0 || exponent < 65_537 || exponent > u64::from(u32::MAX) {
        return refused(exponent.to_string());
    }
    Ok(())
}

/// The smallest prime below 752 that divides the modulus (Baseline Requirements §6.1.6: "no factors smaller than 752").
fn small_factor(modulus: &BigUint) -> Option<u16> {
    // Long division is the cost here: one for six primes, whose product is below 752^6 < 2^64.
    SMALL_PRIMES.chunks(6).find_map(|primes| {
        let residue = residue(modulus, primes.iter().map(|prime| u64::from(*prime)).product());
        primes.iter().copied().find(|prime| residue.is_multiple_of(u64::from(*prime)))
    })
}

/// Whether the modulus has the fingerprint of Infineon's RSALib (Nemec et al., "The Return of Coppersmith's Attack",
/// ACM CCS 2017, §2.2): modulo each of these primes it is a power of 65537. A sound modulus has it with a probability
/// below 2^-27.
fn has_roca_fingerprint(modulus: &BigUint) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let target = residue(modulus, *prime);
        let generator = 65_537 % prime;
        let mut power = 1;
        loop {
            if power == target {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Whether Fermat's method factors the modulus n within [`FERMAT_ROUNDS`]: n = a² - b² = (a + b)(a - b) with `a` just
/// above √n. Random primes differ in their first bits and are out of reach by hundreds of orders of magnitude.
fn has_close_factors(modulus: &BigUint) -> bool {
    let mut a = modulus.sqrt();
    if &a * &a < *modulus {
        a += 1_u8;
    }
    let mut b_squared = &a * &a - modulus;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&b_squared) {
            return true;
        }
        // (a + 1)² - n = a² - n + 2a + 1
        b_squared += (&a << 1_u8) + 1_u8;
        a += 1_u8;
    }
    false
}

fn is_square(number: &BigUint) -> bool {
    // A square is one modulo everything; these four moduli spare 99 of 100 square roots.
    let remainder = residue(number, 64 * 63 * 65 * 11);
    let may_be_square =
        [64, 63, 65, 11].iter().all(|modulus| (0..*modulus).any(|root| root * root % modulus == remainder % modulus));
    may_be_square && {
        let root = number.sqrt();
        &root * &root == *number
    }
}

fn residue(number: &BigUint, modulus: u64) -> u64 {
    // One digit or none: a residue of a u64 fits into a u64.
    (number % modulus).iter_u64_digits().next().unwrap_or(0)
}

/// As many rounds as Boulder's configuration asks for.
const FERMAT_ROUNDS: u32 = 100;

/// The primes of the published discriminator.
const ROCA_PRIMES: [u64; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// All 133 primes below 752.
const SMALL_PRIMES: [u16; 133] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239,
    241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307, 311, 313, 317, 331, 337, 347, 349, 353, 359, 367, 373, 379,
    383, 389, 397, 401, 409, 419, 421, 431, 433, 439, 443, 449, 457, 461, 463, 467, 479, 487, 491, 499, 503, 509, 521,
    523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601, 607, 613, 617, 619, 631, 641, 643, 647, 653, 659, 661,
    673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743, 751,
];
