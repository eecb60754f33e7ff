"""What a program does that looks a certificate up in lists by pyca/cryptography, which has no path validation with lists.

Usage: crl_judge.py ISSUER.pem CERTIFICATE.pem CRL.pem... Every list is verified by the issuer's key; the certificate is refused
when one of the issuer's lists has its serial, or when there is none. `removeFromCRL` is an entry as any other, and what a list
covers is not asked.
"""

import sys

from cryptography import x509


def load(path, read):
    with open(path, "rb") as file:
        return read(file.read())


def main(issuer, certificate, lists):
    issuer = load(issuer, x509.load_pem_x509_certificate)
    certificate = load(certificate, x509.load_pem_x509_certificate)
    lists = [load(path, x509.load_pem_x509_crl) for path in lists]
    lists = [crl for crl in lists if crl.issuer == issuer.subject]
    if not lists:
        sys.exit("refused: no list")
    for crl in lists:
        if not crl.is_signature_valid(issuer.public_key()):
            sys.exit("refused: the signature is wrong")
        if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            sys.exit("refused: revoked")
    print("accepted")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
