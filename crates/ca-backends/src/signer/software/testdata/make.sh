#!/bin/sh
# Makes the private keys of this folder (test keys: they protect nothing) and what openssl signs with them.
#     sh make.sh        (OpenSSL 3; run once, the results are checked in)
set -eu
cd "$(dirname "$0")"
printf 'to be signed' > message.bin

# `genpkey -outform DER` of OpenSSL 3.0 writes the traditional form of RSA and EC keys; by way of PEM it is PKCS#8.
make_key() {
    name=$1
    shift
    openssl genpkey -quiet "$@" | openssl pkcs8 -topk8 -nocrypt -outform DER -out "$name.p8"
}

for bits in 2048 3072 4096; do
    make_key rsa$bits -algorithm RSA -pkeyopt rsa_keygen_bits:$bits
    openssl dgst -sha256 -sign rsa$bits.p8 -keyform DER -out rsa$bits.sig message.bin
done
make_key p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
make_key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
make_key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
make_key ed25519 -algorithm ED25519
openssl pkeyutl -sign -rawin -inkey ed25519.p8 -keyform DER -in message.bin -out ed25519.sig
for key in *.p8; do
    openssl pkey -inform DER -in $key -pubout -outform DER -out ${key%.p8}.spki
done
# What must be refused.
make_key refused_rsa1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
make_key refused_exponent_3 -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3
make_key refused_secp256k1 -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
make_key refused_ed448 -algorithm ED448
openssl rsa -inform DER -in rsa2048.p8 -traditional -outform DER -out refused_pkcs1.der 2>/dev/null
openssl ec -inform DER -in p256.p8 -outform DER -out refused_sec1.der 2>/dev/null
openssl pkcs8 -topk8 -inform DER -in p256.p8 -outform DER -passout pass:secret -out refused_encrypted.der
