"""Verifies a chain by pyca/cryptography's verifier, which knows the profile of the web's PKI and no mercy.

Usage: path_judge.py ROOT.pem CHAIN.pem server NAME
       path_judge.py ROOT.pem CHAIN.pem client

Ends with 1, saying why, unless the chain (leaf first) is good for that.
"""

import ipaddress
import sys

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError


def load(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificates(file.read())


def subject(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def main():
    root, chain, purpose, *name = sys.argv[1:]
    builder = PolicyBuilder().store(Store(load(root)))
    leaf, *intermediates = load(chain)
    verifier = builder.build_server_verifier(subject(name[0])) if purpose == "server" else builder.build_client_verifier()
    try:
        verifier.verify(leaf, intermediates)
    except VerificationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
