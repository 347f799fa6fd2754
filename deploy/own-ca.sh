#!/bin/sh
# A certificate for names that are led to you, by an authority of your own that can sign for these names and no others.
#
#   deploy/own-ca.sh FOLDER api.remove.bg [NAME...]
#
# Makes ca.crt (for the machines that call), providers.crt and providers.key (for nginx) in FOLDER. ca.key is not
# needed again before the certificate ends, after 825 days: put it away.
set -eu
folder=$1
shift
mkdir -p "$folder"
umask 077
permitted=
names=
for name in "$@"; do
    permitted="$permitted,permitted;DNS:$name"
    names="$names,DNS:$name"
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=Own CA for $1" \
    -addext "nameConstraints=critical$permitted" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
    -keyout "$folder/providers.key" -out "$folder/providers.csr" 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n' "${names#,}" >"$folder/extensions"
openssl x509 -req -in "$folder/providers.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -days 825 \
    -extfile "$folder/extensions" -out "$folder/providers.crt" 2>/dev/null
rm -f "$folder/providers.csr" "$folder/extensions"
chmod 0644 "$folder/ca.crt" "$folder/providers.crt"
