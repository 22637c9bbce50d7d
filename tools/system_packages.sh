#!/bin/sh
# Debian packages that only tests need. Installed where that is allowed; elsewhere the tests that
# need them say so, and with CI=true they fail.
set -eu
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
else
    echo "note: chromium is not installed; the tests that look at pages will be skipped"
fi
