#!/usr/bin/env python3
"""Makes the public keys of this folder: sound ones by the openssl command, weak ones by arithmetic.

    python3 make.py        (Python 3.9+ and OpenSSL 3; run once, the results are checked in)

Private keys are thrown away: the tests need none.
"""
import base64
import math
import random
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
RANDOM = random.Random(20260101)  # weak keys are no secret: reproducible


def tlv(tag, content):
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    digits = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def write(name, der):
    text = base64.encodebytes(der).decode().replace("\n", "")
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    (FOLDER / f"{name}.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")


def write_rsa(name, modulus, exponent=65537):
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d010101") + b"\x05\x00")
    key = tlv(0x30, integer(modulus) + integer(exponent))
    write(name, tlv(0x30, algorithm + tlv(3, b"\x00" + key)))


def write_point(name, curve_oid_hex, point):
    algorithm = tlv(0x30, bytes.fromhex("06072a8648ce3d0201" + curve_oid_hex))
    write(name, tlv(0x30, algorithm + tlv(3, b"\x00" + point)))


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, stdout=subprocess.PIPE).stdout


def public_key(algorithm, *options, output=()):
    private = openssl("genpkey", "-quiet", "-algorithm", algorithm, *[part for o in options for part in ("-pkeyopt", o)])
    return openssl("pkey", "-pubout", "-outform", "DER", *output, given=private)


def is_prime(number):
    if any(number % prime == 0 for prime in PRIMES):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(24):
        value = pow(RANDOM.randrange(2, number - 1), odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def next_prime(number):
    number |= 1
    while not is_prime(number):
        number += 2
    return number


def random_prime(bits):
    # The two top bits set: a product of two has exactly twice as many bits.
    return next_prime(RANDOM.getrandbits(bits) | 3 << (bits - 2))


def roca_prime(bits):
    """p = k * M + (65537^a mod M), as Infineon's RSALib made them; M is the product of the first 126 primes."""
    product = 1
    for prime in PRIMES[:126]:
        product *= prime
    while True:
        k = (3 << (bits - 2) | RANDOM.getrandbits(bits - 3)) // product
        prime = k * product + pow(65537, RANDOM.getrandbits(64), product)
        if prime.bit_length() == bits and prime >> (bits - 2) == 3 and is_prime(prime):
            return prime


PRIMES = [n for n in range(2, 3000) if all(n % d for d in range(2, int(n**0.5) + 1))]
P256 = "06082a8648ce3d030107"


def pss():
    """Signatures by PSS over "a message", sound and with parameters that are not taken."""
    with tempfile.TemporaryDirectory() as folder:
        private = f"{folder}/key.pem"
        openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
        openssl("pkey", "-in", private, "-pubout", "-out", str(FOLDER / "pss_signer.pem"))
        (Path(folder) / "message").write_bytes(b"a message")
        for name, digest, *options in (
            ("sha256", "sha256", "rsa_pss_saltlen:digest"),
            ("sha384", "sha384", "rsa_pss_saltlen:digest"),
            ("sha512", "sha512", "rsa_pss_saltlen:digest"),
            ("sha256_salt_20", "sha256", "rsa_pss_saltlen:20"),
            ("sha256_longest_salt", "sha256", "rsa_pss_saltlen:max"),
            ("sha256_mask_sha1", "sha256", "rsa_pss_saltlen:digest", "rsa_mgf1_md:sha1"),
        ):
            options = [part for option in ("rsa_padding_mode:pss", *options) for part in ("-sigopt", option)]
            signature = openssl("dgst", f"-{digest}", "-sign", private, *options, f"{folder}/message")
            (FOLDER / f"pss_{name}.hex").write_text(signature.hex() + "\n")


def main():
    pss()
    for bits in (2048, 3072, 4096):
        write(f"rsa{bits}", public_key("RSA", f"rsa_keygen_bits:{bits}"))
    for curve, name in (("P-256", "p256"), ("P-384", "p384"), ("P-521", "p521"), ("P-224", "p224"), ("secp256k1",) * 2):
        write(name, public_key("EC", f"ec_paramgen_curve:{curve}"))
    for algorithm in ("ED25519", "ED448", "X25519"):
        write(algorithm.lower(), public_key(algorithm))
    write("rsa_pss", public_key("RSA-PSS", "rsa_keygen_bits:2048"))
    write("p256_explicit_parameters", public_key("EC", "ec_paramgen_curve:P-256", "ec_param_enc:explicit"))
    write("p256_compressed", public_key("EC", "ec_paramgen_curve:P-256", output=("-ec_conv_form", "compressed")))
    write("p256_hybrid", public_key("EC", "ec_paramgen_curve:P-256", output=("-ec_conv_form", "hybrid")))

    p, q = random_prime(1024), random_prime(1024)
    sound = p * q
    for name, exponent in (("1", 1), ("3", 3), ("65535", 65535), ("65538", 65538), ("2pow32plus1", 2**32 + 1)):
        write_rsa(f"rsa_exponent_{name}", sound, exponent)
    write_rsa("rsa_exponent_huge", sound, 2**256 + 1)
    write_rsa("rsa_exponent_largest", sound, 2**32 - 1)
    write_rsa("rsa_even", sound - 1)
    for bits in (1024, 2040, 2056, 8192):
        write_rsa(f"rsa_{bits}_bits", RANDOM.getrandbits(bits) | 1 << (bits - 1) | 1)
    write_rsa("rsa_factor_751", next_prime((1 << 2047) // 751 + RANDOM.getrandbits(2030)) * 751)
    write_rsa("rsa_factor_3", next_prime((1 << 2047) // 3 + RANDOM.getrandbits(2030)) * 3)
    write_rsa("rsa_roca", roca_prime(1024) * roca_prime(1024))
    write_rsa("rsa_close_next_prime", p * next_prime(p + 2))
    write_rsa("rsa_square", p * p)
    # Fermat's method takes about (q - p)^2 / (8 sqrt(n)) rounds.
    for rounds in (80, 130):
        near = random_prime(1024)
        write_rsa(f"rsa_close_{rounds}_rounds", near * next_prime(near + math.isqrt(8 * rounds * near)))

    write_point("p256_off_curve", P256, b"\x04" + bytes(31) + b"\x01" + bytes(31) + b"\x01")
    write_point("p256_infinity", P256, b"\x00")
    write_point("p256_short", P256, b"\x04" + bytes(62))
    write_point("p256_coordinate_out_of_range", P256, b"\x04" + b"\xff" * 64)
    ed25519 = tlv(0x30, bytes.fromhex("06032b6570"))
    for name, key in (
        ("identity", (1).to_bytes(32, "little")),
        ("order_2", (2**255 - 20).to_bytes(32, "little")),
        ("order_4", bytes(32)),
        ("order_4_signed", bytes(31) + b"\x80"),
        ("order_8", bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
        ("order_8_other", bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")),
        ("not_reduced", (2**255 - 19 + 3).to_bytes(32, "little")),
        ("31_octets", bytes(range(31))),
    ):
        write(f"ed25519_{name}", tlv(0x30, ed25519 + tlv(3, b"\x00" + key)))


if __name__ == "__main__":
    main()
