#!/usr/bin/env python3
"""Makes the issuer and the CRLs of this folder with the openssl command.

    python3 make.py        (Python 3.9+ and OpenSSL 3; run once, the results are checked in)

The private key is thrown away.
"""
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
CONFIGURATION = """
[authority]
database={work}/index.txt
crlnumber={work}/number
default_md=sha256
unique_subject=no
default_crl_days=36500
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[plain]
authorityKeyIdentifier=keyid:always
[sharded]
authorityKeyIdentifier=keyid:always
issuingDistributionPoint=critical,@point
[point]
fullname=URI:http://pki.example.org/crl/tls/7.crl
onlyuser=TRUE
[for_authorities]
issuingDistributionPoint=critical,@for_authorities_point
[for_authorities_point]
onlyCA=TRUE
[indirect]
issuingDistributionPoint=critical,@indirect_point
[indirect_point]
indirectCRL=TRUE
[some_reasons]
issuingDistributionPoint=critical,@some_reasons_point
[some_reasons_point]
onlysomereasons=keyCompromise
[unknown_critical]
1.3.6.1.4.1.99999.1=critical,DER:0500
[delta]
authorityKeyIdentifier=keyid:always
2.5.29.27=critical,DER:020110
[big_number]
"""
INDEX = (
    "V\t491231235959Z\t\t1000\tunknown\t/CN=good\n"
    "R\t491231235959Z\t260101000000Z\t1001\tunknown\t/CN=unspecified\n"
    "R\t491231235959Z\t260102000000Z,keyTime,20250601120000Z\t1002\tunknown\t/CN=compromised\n"
    "R\t491231235959Z\t260103000000Z,superseded\tFF03\tunknown\t/CN=superseded\n"
    "R\t491231235959Z\t260104000000Z,holdInstruction,holdInstructionReject\t1004\tunknown\t/CN=held\n"
    "R\t491231235959Z\t260105000000Z,CACompromise\t1005\tunknown\t/CN=authority\n"
)


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        configuration, key, index = work / "openssl.cnf", work / "issuer.key", work / "index.txt"
        configuration.write_text(CONFIGURATION.replace("{work}", folder))
        issuer = FOLDER / "issuer.pem"
        openssl("genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        openssl(
            "req", "-new", "-x509", "-key", key, "-subj", "/O=Example/OU=One/OU=Two/CN=Issuer", "-days", "36500",
            "-config", configuration, "-extensions", "ca", "-out", issuer,
        )

        def crl(name, section=None, entries=INDEX, number="11"):
            index.write_text(entries)
            (work / "number").write_text(number)
            extensions = ["-crlexts", section] if section else []
            openssl(
                "ca", "-gencrl", "-config", configuration, "-name", "authority", "-keyfile", key, "-cert", issuer,
                *extensions, "-out", FOLDER / f"{name}.pem",
            )

        crl("plain", "plain")
        crl("empty", "plain", entries="V\t491231235959Z\t\t1000\tunknown\t/CN=good\n")
        for section in ["sharded", "for_authorities", "indirect", "some_reasons", "unknown_critical", "delta"]:
            crl(section, section)
        crl("big_number", "plain", number="0123456789ABCDEF0123456789")


main()
