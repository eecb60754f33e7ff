#!/usr/bin/env python3
"""Makes the certificates, requests and responses of this folder with the openssl command.

    python3 make.py        (Python 3.9+ and OpenSSL 3; run once, the results are checked in)

The private keys are thrown away.
"""
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
EXTENSIONS = """
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier=hash
[leaf]
basicConstraints=CA:FALSE
[responder]
keyUsage=critical,digitalSignature
extendedKeyUsage=OCSPSigning
noCheck=ignored
[no_usage]
keyUsage=critical,digitalSignature
[server_usage]
extendedKeyUsage=serverAuth
[wrong_key_usage]
keyUsage=critical,keyEncipherment
extendedKeyUsage=OCSPSigning
[minimal]
[authority]
default_ca=authority
database={work}/database
new_certs_dir={work}
rand_serial=yes
default_md=sha256
unique_subject=no
policy=policy
[policy]
commonName=supplied
"""


class Workshop:
    """A folder that is thrown away, with keys and certificates by name."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.config = self.path("extensions.cnf")
        self.config.write_text(EXTENSIONS.replace("{work}", folder))
        self.path("database").write_text("")

    def path(self, name):
        return self.folder / name

    def key(self, name):
        path = self.path(f"{name}.key")
        if not path.exists():
            openssl("genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        return path

    def certificate(self, name, subject, section, issuer=None, dates=("20200101000000Z", "29991231235959Z")):
        request, certificate = self.path(f"{name}.csr"), self.path(f"{name}.pem")
        openssl("req", "-new", "-key", self.key(name), "-subj", subject, "-out", request)
        signer = issuer or name
        own = ["-selfsign"] if issuer is None else ["-cert", self.path(f"{signer}.pem")]
        openssl(
            "ca", "-batch", "-notext", "-config", self.config, "-name", "authority", "-in", request, "-out", certificate,
            "-keyfile", self.key(signer), *own, "-startdate", dates[0], "-enddate", dates[1], "-preserveDN",
            "-extfile", self.config, "-extensions", section,
        )
        (FOLDER / f"{name}.pem").write_bytes(certificate.read_bytes())

    def leaf(self, name, serial):
        """A certificate with a serial of our choice; the responses come from an index, not from it."""
        openssl(
            "req", "-new", "-x509", "-key", self.key(name), "-subj", f"/CN={name}", "-set_serial", serial,
            "-CA", self.path("issuer.pem"), "-CAkey", self.key("issuer"), "-days", "36500", "-out", self.path(f"{name}.pem"),
        )


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout


def main():
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(folder)
        shop.certificate("issuer", "/CN=Issuer", "ca")
        for name, serial in [("good", "0x1001"), ("compromised", "0x1002"), ("revoked", "0x1003"), ("absent", "0x1004")]:
            shop.leaf(name, serial)
        shop.certificate("responder", "/CN=Responder", "responder", "issuer")
        shop.certificate("responder_without_usage", "/CN=Without usage", "no_usage", "issuer")
        shop.certificate("responder_for_servers", "/CN=For servers", "server_usage", "issuer")
        shop.certificate("responder_wrong_key_usage", "/CN=Wrong key usage", "wrong_key_usage", "issuer")
        past = ("20200101000000Z", "20210101000000Z")
        shop.certificate("responder_expired", "/CN=Expired", "responder", "issuer", dates=past)
        shop.certificate("stranger", "/CN=Issuer", "ca")
        shop.certificate("responder_of_stranger", "/CN=Of stranger", "responder", "stranger")

        def request(name, *options):
            path = FOLDER / f"{name}.req.der"
            openssl("ocsp", "-issuer", shop.path("issuer.pem"), *options, "-reqout", path)

        cert = lambda name: ("-cert", shop.path(f"{name}.pem"))
        request("sha1", "-no_nonce", *cert("good"))
        request("sha1_nonce", *cert("good"))
        request("sha256", "-no_nonce", "-sha256", *cert("good"))
        request("sha512", "-no_nonce", "-sha512", *cert("good"))
        request("four", "-no_nonce", *cert("good"), *cert("compromised"), "-sha256", *cert("revoked"), *cert("absent"))
        request("signed", *cert("good"), "-signer", shop.path("good.pem"), "-signkey", shop.key("good"))

        index = shop.path("index.txt")
        index.write_text(
            "V\t491231235959Z\t\t1001\tunknown\t/CN=good\n"
            "R\t491231235959Z\t260101000000Z,keyCompromise\t1002\tunknown\t/CN=compromised\n"
            "R\t491231235959Z\t260102000000Z\t1003\tunknown\t/CN=revoked\n"
        )

        def response(name, signer, asked, *options):
            openssl(
                "ocsp", "-index", index, "-CA", shop.path("issuer.pem"), "-rsigner", shop.path(f"{signer}.pem"),
                "-rkey", shop.key(signer), "-reqin", FOLDER / f"{asked}.req.der", "-respout", FOLDER / f"{name}.resp.der",
                *options,
            )

        response("four", "responder", "four", "-ndays", "7")
        response("nonce", "responder", "sha1_nonce", "-ndays", "7", "-resp_key_id")
        response("by_issuer", "issuer", "sha1", "-resp_no_certs")
        response("by_issuer_key", "issuer", "sha1", "-resp_key_id", "-ndays", "7")
        response("without_certificate", "responder", "sha1", "-resp_no_certs")
        for signer in ["without_usage", "for_servers", "wrong_key_usage", "expired", "of_stranger"]:
            response(f"by_responder_{signer}", f"responder_{signer}", "sha1")
        # Under the issuer's name, but with another key.
        response("by_stranger", "stranger", "sha1")


main()
