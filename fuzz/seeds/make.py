"""Makes the seed corpora: fuzz/seeds/TARGET/*. Run it in the tests' environment, from anywhere:

    tests/install.sh && target/test-tools/venv/bin/python fuzz/seeds/make.py

Everything is made with Python's `cryptography`; keys are thrown away, so the octets differ from run to run.
"""

import base64
import datetime
import ipaddress
import json
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = pathlib.Path(__file__).parent
DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM
NOW = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.timezone.utc)
YEAR = datetime.timedelta(days=365)


def write(target, name, octets):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(octets)


def name(*attributes):
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


NAMES = {
    "empty": name(),
    "common_name": name((NameOID.COMMON_NAME, "api.example.com")),
    "repeated": name(
        (NameOID.DOMAIN_COMPONENT, "com"),
        (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "One"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Two"),
        (NameOID.COMMON_NAME, "OSS CA"),
    ),
    "multi_valued": x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COUNTRY_NAME, "BR")]),
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "Ana Souza"),
                    x509.NameAttribute(NameOID.SERIAL_NUMBER, "42"),
                ]
            ),
        ]
    ),
    "escaped": name((NameOID.ORGANIZATION_NAME, ' a,b+c"d\\e<f>g;h#'), (NameOID.COMMON_NAME, "São Paulo ☃")),
    "email_and_unknown": name(
        (NameOID.EMAIL_ADDRESS, "ana@example.com"), (x509.ObjectIdentifier("1.2.3.4"), "unknown")
    ),
}

GENERAL_NAMES = {
    "dns": x509.DNSName("*.example.com"),
    "ip": x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    "ip6": x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    "email": x509.RFC822Name("ana@example.com"),
    "uri": x509.UniformResourceIdentifier("spiffe://example.org/web?a=b#c"),
    "upn": x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0fana@example.com"),
    "icp_brasil": x509.OtherName(x509.ObjectIdentifier("2.16.76.1.3.1"), b"\x04\x0b01011970000"),
    "directory": x509.DirectoryName(NAMES["multi_valued"]),
    "registered": x509.RegisteredID(x509.ObjectIdentifier("1.2.840.113556")),
}
GENERAL_NAME_TEXTS = [
    "api.example.com",
    "dns:*.example.com",
    "ip:2001:db8::1",
    "ana@example.com",
    "upn:ana@corp.example.com",
    "uri:https://example.com/%20",
    "otherName:2.16.76.1.3.1=#040b3031303131393730303030",
    "otherName:1.2.3=text",
    "directoryName:CN=Ana,O=Example",
    "registeredID:1.2.840.113556",
    "bücher.example",
]
KEYS = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "rsa2048": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def digest(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def elements(der):
    """The elements of a SEQUENCE."""

    def one(at):
        length, header = der[at + 1], 2
        if length & 0x80:
            header += length & 0x7F
            length = int.from_bytes(der[at + 2 : at + header], "big")
        return at + header, at + header + length

    at, end = one(0)
    parts = []
    while at < end:
        _, next_at = one(at)
        parts.append(der[at:next_at])
        at = next_at
    return parts


def requests():
    every_name = x509.SubjectAlternativeName(list(GENERAL_NAMES.values()))
    for key_name, key in KEYS.items():
        builder = x509.CertificateSigningRequestBuilder().subject_name(NAMES["repeated"])
        builder = builder.add_extension(x509.SubjectAlternativeName([GENERAL_NAMES["dns"], GENERAL_NAMES["ip"]]), False)
        request = builder.sign(key, digest(key))
        write("csr", f"{key_name}.der", request.public_bytes(DER))
    write("csr", "text.pem", b"before\n" + request.public_bytes(PEM) + b"after\n")

    for title, subject in NAMES.items():
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(every_name, False)
        if title == "common_name":
            builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            builder = builder.add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"challenge")
        request = builder.sign(KEYS["ed25519"], None)
        _, subject_der, _, attributes = elements(request.tbs_certrequest_bytes)
        write("csr_contents", f"{title}.der", subject_der + attributes)


def certificate(subject, issuer, key, issuer_key, serial, authority):
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW)
        .not_valid_after(NOW + YEAR)
        .add_extension(x509.BasicConstraints(authority, 0 if authority else None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(GENERAL_NAMES.values())), False)
    return builder.sign(issuer_key, digest(issuer_key))


def status():
    key = KEYS["p256"]
    issuer_name = NAMES["repeated"]
    issuer = certificate(issuer_name, issuer_name, key, key, 1, True)
    leaves = [certificate(NAMES["common_name"], issuer_name, KEYS["rsa2048"], key, 2**120 + n, False) for n in range(3)]
    for title, item in [("authority", issuer), ("leaf", leaves[0])]:
        write("certificate", f"{title}.der", item.public_bytes(DER))
    write("certificate", "chain.pem", leaves[0].public_bytes(PEM) + issuer.public_bytes(PEM))

    for algorithm in (hashes.SHA1(), hashes.SHA256()):
        request = ocsp.OCSPRequestBuilder().add_certificate(leaves[0], issuer, algorithm)
        plain = request.build().public_bytes(DER)
        write("ocsp_request", f"{algorithm.name}.der", plain)
        write("ocsp_request", f"{algorithm.name}.path", base64.b64encode(plain).replace(b"+", b"%2B"))
        nonce = request.add_extension(x509.OCSPNonce(bytes(32)), False).build().public_bytes(DER)
        write("ocsp_request", f"{algorithm.name}_nonce.der", nonce)

    for title, state in [("good", ocsp.OCSPCertStatus.GOOD), ("revoked", ocsp.OCSPCertStatus.REVOKED)]:
        revoked = state is ocsp.OCSPCertStatus.REVOKED
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                leaves[0],
                issuer,
                hashes.SHA1(),
                state,
                NOW,
                NOW + YEAR,
                NOW if revoked else None,
                x509.ReasonFlags.key_compromise if revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH if revoked else ocsp.OCSPResponderEncoding.NAME, issuer)
            .certificates([issuer])
            .add_extension(x509.OCSPNonce(bytes(32)), False)
            .sign(key, hashes.SHA256())
        )
        write("ocsp_response", f"{title}.der", response.public_bytes(DER))
    error = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    write("ocsp_response", "try_later.der", error.public_bytes(DER))

    for title, count in [("empty", 0), ("three", 3)]:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer_name)
            .last_update(NOW)
            .next_update(NOW + YEAR)
            .add_extension(x509.CRLNumber(7), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        )
        if count:
            builder = builder.add_extension(
                x509.IssuingDistributionPoint(
                    [x509.UniformResourceIdentifier("http://pki.example.org/crl/tls/0.crl")],
                    None, True, False, None, False, False,
                ),
                True,
            )
        for number in range(count):
            entry = x509.RevokedCertificateBuilder().serial_number(2**120 + number).revocation_date(NOW)
            if number:
                entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), False)
                entry = entry.add_extension(x509.InvalidityDate(NOW.replace(tzinfo=None)), False)
            builder = builder.add_revoked_certificate(entry.build())
        crl = builder.sign(key, hashes.SHA256())
        write("crl", f"{title}.der", crl.public_bytes(DER))
        write("crl", f"{title}.pem", crl.public_bytes(PEM))


def names():
    for title, item in NAMES.items():
        write("distinguished_name", f"{title}.der", item.public_bytes())
        write("distinguished_name", f"{title}.txt", item.rfc4514_string().encode())
    write("distinguished_name", "hexadecimal.txt", b"1.2.3=#0c0161+CN=\\C3\\A9,2.5.4.10=#1301 61")
    for title, item in GENERAL_NAMES.items():
        der = x509.SubjectAlternativeName([item]).public_bytes()
        write("general_name", f"{title}.der", elements(der)[0])
    write("general_name", "all.der", x509.SubjectAlternativeName(list(GENERAL_NAMES.values())).public_bytes())
    for number, text in enumerate(GENERAL_NAME_TEXTS):
        write("general_name", f"text_{number}.txt", text.encode())


def uris():
    write("pkcs11_uri", "labels.txt", b"pkcs11:token=hsm;object=tls-ca")
    write(
        "pkcs11_uri",
        "path.txt",
        b"pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=0A;"
        b"slot-id=327;slot-manufacturer=S;slot-description=D;library-manufacturer=L;library-description=M;"
        b"library-version=1.23;object=my-key;type=private;id=%69%95%3E",
    )
    write(
        "pkcs11_uri",
        "query.txt",
        b"pkcs11:serial=1;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:///etc/pin"
        b"&module-name=softhsm2",
    )
    # A label that reads as an attribute which is refused.
    write("pkcs11_uri", "label-of-a-pin.txt", b"pkcs11:token=hsm;object=pin-value=&pin-value=1")


def proofs():
    made = HERE.parent.parent / "crates/ca-core/src/renewal_proof/testdata/proofs.json"
    for one in json.loads(made.read_text()):
        write("renewal_proof", one["algorithm"].lower() + ".txt", one["proof"].encode())


requests()
status()
names()
uris()
proofs()
