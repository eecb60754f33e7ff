"""Asks an OCSP responder as a strict relying party does, over pyca/cryptography.

Usage: ocsp_judge.py URL ISSUER.pem CERTIFICATE.pem STATUS [REASON]

By GET and POST, with and without a nonce, with CertIDs of SHA-1 and SHA-256. Checks what RFC 6960 section 3.2 says a client
checks, and what RFC 9919 says of responders. Ends with 1 at the first thing that is not as it must be.
"""

import base64
import datetime
import itertools
import os
import sys
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

MEDIA_TYPE = "application/ocsp-response"
SKEW = datetime.timedelta(seconds=5)


def require(holds, what):
    if not holds:
        sys.exit(f"not as it must be: {what}")


def load(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


def send(url, request, by_get, cacheable):
    if by_get:
        path = urllib.parse.quote(base64.b64encode(request), safe="")
        asked = urllib.request.Request(f"{url}/{path}")
    else:
        asked = urllib.request.Request(url, data=request, headers={"Content-Type": "application/ocsp-request"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        require(answer.headers.get_content_type() == MEDIA_TYPE, f"media type {answer.headers.get('content-type')}")
        if by_get and cacheable:
            for header in ("ETag", "Last-Modified", "Expires", "Cache-Control"):
                require(answer.headers[header], f"a GET without {header} (RFC 9919 section 6.2)")
        return ocsp.load_der_ocsp_response(answer.read())


def check_signer(response, issuer, now):
    """The issuer itself, or a responder that it delegated (RFC 6960 section 4.2.2.2)."""
    signer = issuer
    for certificate in response.certificates:
        key_hash = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
        if certificate.subject == response.responder_name or key_hash == response.responder_key_hash:
            signer = certificate
    if signer is not issuer:
        signer.verify_directly_issued_by(issuer)
        usages = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        require(ExtendedKeyUsageOID.OCSP_SIGNING in usages, "a delegate without id-kp-OCSPSigning")
        signer.extensions.get_extension_for_class(x509.OCSPNoCheck)
        require(signer.not_valid_before_utc <= now <= signer.not_valid_after_utc, "a delegate that is not in force")
        require(response.next_update_utc <= signer.not_valid_after_utc, "an answer that outlives its signer")
    key = signer.public_key()
    require(isinstance(key, ec.EllipticCurvePublicKey), "the responder's key is on a curve")
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(response.signature_hash_algorithm))


def ask(url, issuer, certificate, algorithm, with_nonce, by_get):
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm)
    nonce = os.urandom(32) if with_nonce else None
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    request = builder.build()
    response = send(url, request.public_bytes(serialization.Encoding.DER), by_get, cacheable=not nonce)
    now = datetime.datetime.now(datetime.timezone.utc)

    require(response.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL, response.response_status)
    require(response.serial_number == certificate.serial_number, "another serial")
    require(response.hash_algorithm.name == algorithm.name, "a CertID of another hash")
    require(response.issuer_key_hash == request.issuer_key_hash, "another issuer's key")
    require(response.issuer_name_hash == request.issuer_name_hash, "another issuer's name")
    require(response.this_update_utc <= now + SKEW, "thisUpdate in the future")
    require(response.produced_at_utc <= now + SKEW, "producedAt in the future")
    require(response.next_update_utc is not None and response.next_update_utc > now, "nextUpdate absent or past")
    check_signer(response, issuer, now)
    if nonce:
        echoed = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        require(echoed == nonce, "another nonce")
    return response


def main():
    url, issuer, certificate, status, *reason = sys.argv[1:]
    issuer, certificate = load(issuer), load(certificate)
    for algorithm, with_nonce, by_get in itertools.product((hashes.SHA1(), hashes.SHA256()), (False, True), (False, True)):
        response = ask(url, issuer, certificate, algorithm, with_nonce, by_get)
        require(response.certificate_status.name.lower() == status, f"status {response.certificate_status}")
        if status == "revoked":
            given = response.revocation_reason.value if response.revocation_reason else None
            require(given == (reason[0] if reason else None), f"reason {given}")
            require(response.revocation_time_utc <= response.produced_at_utc, "revoked in the future")


if __name__ == "__main__":
    main()
