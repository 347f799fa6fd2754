#!/bin/sh
# Cut a picture with curl: ./cut.sh photo.jpg cutout.png
# BGONE_URL is the server's address, BGONE_KEY a key where it needs one.
set -eu
photo=$1
cutout=$2
url=${BGONE_URL:-http://127.0.0.1:8000}

# --fail-with-body: an error's status is an exit status, and its words are still written; so write aside first.
if curl --silent --show-error --fail-with-body ${BGONE_KEY:+--header "X-Api-Key: $BGONE_KEY"} \
    --form "image=@$photo" --form crop=true --form margin=5% --output "$cutout.part" "$url/cut/v1"; then
    mv "$cutout.part" "$cutout"
else
    cat "$cutout.part" >&2 2>/dev/null || true
    rm -f "$cutout.part"
    exit 1
fi
