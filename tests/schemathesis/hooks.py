"""What schemathesis must know of this API beyond its OpenAPI document.

It makes up whatever a schema allows, and no string that it makes up is a CSR, proof of possession and all. So three of
four requests get a real one, and lead where certificates are issued, renewed and revoked. Octets that come back are read by
pyca/cryptography, and must be what their media type says.
"""

import os

import schemathesis
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

# The certificate, by id and by serial, with which schemathesis itself authenticates: it shall not lock itself out.
OWN_CERTIFICATE = os.environ["OWN_CERTIFICATE"].split()


def make_csr():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fuzz")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(Ed25519PrivateKey.generate(), None)
    return csr.public_bytes(Encoding.PEM).decode()


# Many, since `keyCompromise` blocks a key for ever.
CSRS = [make_csr() for _ in range(256)]


def csr_for(text):
    """The same for the same text, so that what was found can be replayed."""
    return CSRS[hash(text) % len(CSRS)]


@schemathesis.hook
def map_body(context, body):
    label = context.operation.label
    if not isinstance(body, dict):
        return body
    text = body.get("csr") or body.get("profile")
    if not isinstance(text, str) or hash(text) % 4 == 0:
        return body
    if label == "POST /v1/certificates":
        names = [{"type": "email", "value": "fuzz@example.com"}]
        return {"profile": "client", "csr": csr_for(text), "subject_alternative_names": names}
    if label.endswith("/renew"):
        return {"csr": csr_for(text)}
    if label == "POST /v1/enrolment-tokens":
        return {**body, "profile": "server", "validity": "1h", "common_name": "fuzz"}
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    certificate = str((case.path_parameters or {}).get("certificate", "")).lower()
    if any(own in certificate for own in OWN_CERTIFICATE):
        case.path_parameters["certificate"] = "tls:01"


@schemathesis.serializer("application/ocsp-request")
def ocsp_request(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


def octets(response, read):
    """Reads them, and gives a string as the schema wants it."""
    read(response.content)
    return response.content.decode("latin-1")


@schemathesis.deserializer("application/ocsp-response")
def ocsp_response(context, response):
    return octets(response, ocsp.load_der_ocsp_response)


@schemathesis.deserializer("application/pkix-cert")
def certificate(context, response):
    return octets(response, x509.load_der_x509_certificate)


@schemathesis.deserializer("application/pkix-crl")
def revocation_list(context, response):
    return octets(response, x509.load_der_x509_crl)
