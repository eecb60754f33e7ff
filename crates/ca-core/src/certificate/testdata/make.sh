#!/bin/sh
# Makes the certificates of this folder with the openssl command line (3.0), keys thrown away.
set -eu
cd "$(dirname "$0")"
cat > make.cnf <<CNF
[req]
distinguished_name = dn
prompt = no
[dn]
O = Foreign
CN = Foreign CA
[leaf_dn]
O = Foreign
CN = leaf.example.org
[issuer]
basicConstraints = critical,CA:true,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical,permitted;DNS:example.org,permitted;IP:192.0.2.0/255.255.255.0
[leaf]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature,keyAgreement
extendedKeyUsage = serverAuth,OCSPSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = DNS:leaf.example.org,IP:192.0.2.1,email:a@example.org,URI:https://example.org/
certificatePolicies = 1.2.3.4
crlDistributionPoints = URI:http://example.org/a.crl,URI:http://example.org/b.crl
authorityInfoAccess = OCSP;URI:http://example.org/ocsp,caIssuers;URI:http://example.org/ca.crt
tlsfeature = status_request
noCheck = ignored
1.2.3.4.5 = critical,DER:0500
CNF
openssl req -x509 -utf8 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout make.key -config make.cnf \
    -extensions issuer -days 7300 -out issuer.pem
openssl req -new -utf8 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout make.leaf.key -config make.cnf \
    -subj "/O=Foreign/CN=leaf.example.org" -out make.csr
openssl x509 -req -in make.csr -CA issuer.pem -CAkey make.key -set_serial 0x0123456789abcdef -days 7300 -extfile make.cnf \
    -extensions leaf -out leaf.pem
rm make.key make.leaf.key make.csr make.cnf
