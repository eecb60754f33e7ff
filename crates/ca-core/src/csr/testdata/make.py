#!/usr/bin/env python3
"""Makes the requests of this folder with the openssl command; what openssl will not write is put together here and signed
by openssl.

    python3 make.py        (Python 3.9+ and OpenSSL 3; run once, the results are checked in)

The private keys are thrown away.
"""
import base64
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SUBJECT = "/C=BR/O=Example/OU=One/OU=Two/CN=api.example.com"
NAMES = "subjectAltName=DNS:api.example.com,DNS:*.example.com,IP:192.0.2.7,IP:2001:db8::1,email:ana@example.com,URI:spiffe://example.com/api"
EXTENSION_REQUEST, MICROSOFT_EXTENSIONS = "06092a864886f70d01090e", "060a2b0601040182370201" + "0e"
CHALLENGE_PASSWORD = "06092a864886f70d010907"


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, stdout=subprocess.PIPE).stdout


def private_key(algorithm, *options):
    handle = tempfile.NamedTemporaryFile(suffix=".pem")
    openssl("genpkey", "-quiet", "-algorithm", algorithm, "-out", handle.name, *[p for o in options for p in ("-pkeyopt", o)])
    return handle


def request(name, key, *options, subject=SUBJECT, names=NAMES, digest="-sha256"):
    extensions = ["-addext", names] if names else []
    text = openssl("req", "-new", "-key", key.name, "-subj", subject, digest, *extensions, *options)
    (FOLDER / f"{name}.pem").write_bytes(text)


def tlv(tag, content):
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    digits = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def write(name, der):
    text = base64.encodebytes(der).decode().replace("\n", "")
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    (FOLDER / f"{name}.pem").write_text(f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n")


def attribute(oid_hex, *values):
    return tlv(0x30, bytes.fromhex(oid_hex) + tlv(0x31, b"".join(values)))


def extension(oid_hex, value, critical=b""):
    return tlv(0x30, bytes.fromhex(oid_hex) + critical + tlv(4, value))


def assembled(name, key, attributes, version=b"\x02\x01\x00", algorithm="300a06082a8648ce3d040302", after=b""):
    spki = openssl("pkey", "-in", key.name, "-pubout", "-outform", "DER")
    common_name = tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403") + tlv(0x0C, b"api.example.com"))))
    info = tlv(0x30, version + common_name + spki + attributes)
    signature = openssl("dgst", "-sha256", "-sign", key.name, given=info)
    write(name, tlv(0x30, info + bytes.fromhex(algorithm) + tlv(3, b"\x00" + signature)) + after)


def der_of(name):
    return openssl("req", "-in", str(FOLDER / f"{name}.pem"), "-outform", "DER")


def pss(rsa):
    def signed(name, *options, digest="-sha256"):
        options = [part for option in ("rsa_padding_mode:pss", *options) for part in ("-sigopt", option)]
        request(name, rsa, *options, digest=digest)

    for digest in ("sha256", "sha384", "sha512"):
        signed(f"pss_{digest}", "rsa_pss_saltlen:digest", digest=f"-{digest}")
    signed("pss_longest_salt", "rsa_pss_saltlen:max")
    signed("pss_sha1", "rsa_pss_saltlen:digest", digest="-sha1")
    signed("pss_other_mask", "rsa_pss_saltlen:digest", "rsa_mgf1_md:sha1")


def main():
    rsa = private_key("RSA", "rsa_keygen_bits:2048")
    curves = {name: private_key("EC", f"ec_paramgen_curve:{curve}") for name, curve in (("p256", "P-256"), ("p384", "P-384"), ("p521", "P-521"))}
    request("rsa2048", rsa)
    for bits in (3072, 4096):
        request(f"rsa{bits}", private_key("RSA", f"rsa_keygen_bits:{bits}"))
    request("p256", curves["p256"])
    request("p384", curves["p384"], digest="-sha384")
    request("p521", curves["p521"], digest="-sha512")
    request("ed25519", private_key("ED25519"))
    for digest in ("sha384", "sha512"):
        request(f"rsa2048_{digest}", rsa, digest=f"-{digest}")
    for curve, digests in (("p256", ("sha384", "sha512")), ("p384", ("sha256", "sha512")), ("p521", ("sha256", "sha384"))):
        for digest in digests:
            request(f"{curve}_{digest}", curves[curve], digest=f"-{digest}")
    request("new_label", curves["p256"], "-newhdr")
    request("must_staple", curves["p256"], "-addext", "tlsfeature=critical,status_request")
    request("with_text", curves["p256"], "-text")
    request("no_names", curves["p256"], names=None)
    request("empty_subject", curves["p256"], subject="/")
    request("sha1", rsa, digest="-sha1")
    pss(rsa)
    request("rsa1024", private_key("RSA", "rsa_keygen_bits:1024"))
    request("secp256k1", private_key("EC", "ec_paramgen_curve:secp256k1"))

    broken = bytearray(der_of("p256"))
    broken[-1] ^= 1
    write("broken_signature", bytes(broken))
    write("changed_subject", der_of("p256").replace(b"\x0c\x07Example", b"\x0c\x07Exemple"))

    key = curves["p256"]
    san = extension("0603551d11", tlv(0x30, tlv(0x82, b"api.example.com")))
    usage = extension("0603551d0f", bytes.fromhex("03020780"), critical=b"\x01\x01\xff")
    usage_spelled_out = extension("0603551d0f", bytes.fromhex("03020780"), critical=b"\x01\x01\x00")
    requested = attribute(EXTENSION_REQUEST, tlv(0x30, san + usage))
    assembled("assembled", key, tlv(0xA0, requested))
    assembled("critical_false_spelled_out", key, tlv(0xA0, attribute(EXTENSION_REQUEST, tlv(0x30, san + usage_spelled_out))))
    assembled("microsoft_extensions", key, tlv(0xA0, attribute(MICROSOFT_EXTENSIONS, tlv(0x30, san))))
    assembled("challenge_password", key, tlv(0xA0, attribute(CHALLENGE_PASSWORD, tlv(0x0C, b"secret")) + requested))
    assembled("repeated_extension", key, tlv(0xA0, attribute(EXTENSION_REQUEST, tlv(0x30, san + usage + san))))
    assembled("repeated_attribute", key, tlv(0xA0, requested + requested))
    assembled("two_kinds_of_request", key, tlv(0xA0, requested + attribute(MICROSOFT_EXTENSIONS, tlv(0x30, san))))
    assembled("two_values", key, tlv(0xA0, attribute(EXTENSION_REQUEST, tlv(0x30, san), tlv(0x30, usage))))
    assembled("no_value", key, tlv(0xA0, attribute(EXTENSION_REQUEST)))
    assembled("no_attributes_field", key, b"")
    assembled("version_1", key, tlv(0xA0, requested), version=b"\x02\x01\x01")
    assembled("trailing_octet", key, tlv(0xA0, requested), after=b"\x00")
    assembled("ecdsa_with_null", key, tlv(0xA0, requested), algorithm="300c06082a8648ce3d0403020500")
    assembled("algorithm_of_rsa", key, tlv(0xA0, requested), algorithm="300d06092a864886f70d01010b0500")
    assembled("broken_names", key, tlv(0xA0, attribute(EXTENSION_REQUEST, tlv(0x30, extension("0603551d11", b"\x30\x05\x82\x7fabc")))))


if __name__ == "__main__":
    main()
