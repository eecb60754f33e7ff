"""Issues a certificate like ours with Python `cryptography`, over and over; prints what one takes, round by round.

Reads from standard input a JSON object: `csr` (PEM), `certificate` (DER in hexadecimal, whose extensions are to be repeated),
`rounds` and `times`. No policy and no lint: the CSR's signature, the certificate, and the signature made are checked.
"""

import datetime
import json
import sys
import time

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

asked = json.load(sys.stdin)
csr_pem = asked["csr"].encode()
ours = x509.load_der_x509_certificate(bytes.fromhex(asked["certificate"]))
extensions = [(extension.value, extension.critical) for extension in ours.extensions]
key = ec.generate_private_key(ec.SECP256R1())
public_key = key.public_key()
lifetime = datetime.timedelta(days=90)


def issue():
    csr = x509.load_pem_x509_csr(csr_pem)
    assert csr.is_signature_valid
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(ours.issuer)
        .public_key(csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + lifetime)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    certificate = builder.sign(key, hashes.SHA256())
    der = certificate.public_bytes(serialization.Encoding.DER)
    public_key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    return der


issue()
rounds = []
for _ in range(asked["rounds"]):
    wall, processor = time.perf_counter(), time.thread_time()
    for _ in range(asked["times"]):
        issue()
    rounds.append([(time.thread_time() - processor) / asked["times"], (time.perf_counter() - wall) / asked["times"]])
print(json.dumps({"version": cryptography.__version__, "rounds": rounds}))
