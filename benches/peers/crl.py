"""Makes a CRL with Python `cryptography`; prints what building, signing and encoding take together, round by round.

Reads from standard input a JSON object: `entries` and `rounds`. A reason in every second entry, serials of 16 octets.
"""

import datetime
import json
import secrets
import sys
import time

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

asked = json.load(sys.stdin)
key = ec.generate_private_key(ec.SECP256R1())
issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Bench CA")])
now = datetime.datetime.now(datetime.timezone.utc)
serials = sorted(secrets.randbits(127) | 1 << 126 for _ in range(asked["entries"]))
superseded = x509.CRLReason(x509.ReasonFlags.superseded)


def entry(number, serial):
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
    if number % 2 == 0:
        builder = builder.add_extension(superseded, critical=False)
    return builder.build()


def make():
    revoked = [entry(number, serial) for number, serial in enumerate(serials)]
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer,
        last_update=now,
        next_update=now + datetime.timedelta(days=7),
        extensions=[
            x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(2)),
            x509.Extension(
                x509.AuthorityKeyIdentifier.oid,
                False,
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            ),
        ],
        # Given at once: `add_revoked_certificate` copies the list each time.
        revoked_certificates=revoked,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


rounds = []
for _ in range(asked["rounds"]):
    wall, processor = time.perf_counter(), time.thread_time()
    make()
    rounds.append([time.thread_time() - processor, time.perf_counter() - wall])
print(json.dumps({"version": cryptography.__version__, "rounds": rounds}))
