"""Makes proofs.json: a proof of renewal for a key of every kind, signed by pyca/cryptography and put together by hand.

Run in this folder: python3 make.py > proofs.json
"""

import base64
import datetime
import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

ISSUED_AT = 1_795_176_000
NONCE = "a-nonce"
URL = "https://ca.example.org:8443/v1/certificates/0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21/renew-expired"


def base64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.example.com")])
    start = datetime.datetime(2026, 1, 1)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, digest)
        .public_bytes(serialization.Encoding.DER)
    )


def signature_of(algorithm, key, message):
    if algorithm == "EdDSA":
        return key.sign(message)
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]
    if algorithm.startswith("ES"):
        numbers = utils.decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        length = (key.key_size + 7) // 8
        return b"".join(number.to_bytes(length, "big") for number in numbers)
    if algorithm == "PS256":
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(message, padding.PKCS1v15(), digest)


def proof_of(algorithm, key):
    csr = f"a signing request for {algorithm}".encode()
    header = {"alg": algorithm, "nonce": NONCE, "url": URL, "x5c": [base64.b64encode(certificate_of(key)).decode()]}
    payload = {"iat": ISSUED_AT, "csr_sha256": base64url(hashlib.sha256(csr).digest())}
    signing_input = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "algorithm": algorithm,
        "csr": csr.decode(),
        "proof": signing_input + "." + base64url(signature_of(algorithm, key, signing_input.encode())),
        "spki": base64.b64encode(spki).decode(),
    }


rsa_key = rsa.generate_private_key(65537, 2048)
KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "PS256": rsa_key,
    "RS256": rsa_key,
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
print(json.dumps([proof_of(algorithm, key) for algorithm, key in KEYS.items()], indent=1))
