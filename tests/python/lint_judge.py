"""Lints by pkilint, in one process instead of one a file.

Reads lines `KIND FILE` from standard input: `certificate`, `crl` (DER or PEM) or `ocsp` (a response, DER; the certificates
in it are linted too). Writes every finding at WARNING or above as a line of JSON.
"""

import contextlib
import io
import json
import sys
import tempfile

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from pkilint.bin import lint_crl, lint_ocsp_response, lint_pkix_cert

LINTERS = {
    "certificate": (lint_pkix_cert, []),
    "crl": (lint_crl, ["-t", "CRL", "-p", "PKIX"]),
    "ocsp": (lint_ocsp_response, []),
}


def lint(kind, path, name):
    linter, options = LINTERS[kind]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        linter.main(["lint", *options, "-s", "WARNING", "-f", "JSON", path])
    # A file that cannot be read leaves no report, and json says so.
    for result in json.loads(output.getvalue())["results"]:
        for finding in result["finding_descriptions"]:
            print(json.dumps({"file": name, "node": result["node_path"], **finding}))


def lint_responders(path, name):
    with open(path, "rb") as file:
        certificates = ocsp.load_der_ocsp_response(file.read()).certificates
    if not certificates:
        sys.exit(f"{name}: no certificate of the responder")
    for certificate in certificates:
        with tempfile.NamedTemporaryFile(suffix=".der") as file:
            file.write(certificate.public_bytes(Encoding.DER))
            file.flush()
            lint("certificate", file.name, f"{name}, responder")


def main():
    for line in sys.stdin:
        kind, path = line.split()
        name = path.rsplit("/", 1)[-1]
        lint(kind, path, name)
        if kind == "ocsp":
            lint_responders(path, name)


if __name__ == "__main__":
    main()
