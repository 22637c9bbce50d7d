#!/bin/sh
# Debian packages that only tests need. Installed where that is allowed; elsewhere the tests that
# need them say so, and with CI=true they fail.
set -eu
# chromium: the tests that look at pages; wrk: the load of benchmarks/serving.
wanted=""
for name in chromium wrk; do
    command -v "$name" >/dev/null 2>&1 || wanted="$wanted $name"
done
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $wanted >/dev/null
else
    echo "note: not installed:$wanted; without chromium the tests that look at pages are skipped"
fi
