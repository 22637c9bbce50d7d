#!/bin/sh
# Debian packages that only tests need. Got where that is allowed; elsewhere the tests that need
# them say so, and with CI=true they fail.
set -eu
# chromium: the tests that look at pages; wrk: the load of benchmarks/serving.
wanted=""
for name in chromium wrk; do
    command -v "$name" >/dev/null 2>&1 || wanted="$wanted $name"
done
# prometheus: the tests of alerts and board. It is unpacked into the environment: installed, it
# would be a service that runs from then on.
place="${1:-.venv}/debian"
unpacked=""
command -v promtool >/dev/null 2>&1 || [ -x "$place/usr/bin/promtool" ] || unpacked=prometheus
[ -z "$wanted$unpacked" ] && exit 0
command -v apt-get >/dev/null 2>&1 || {
    echo "note: not installed:$wanted $unpacked; the tests that need them are skipped"
    exit 0
}
[ "$(id -u)" != 0 ] || apt-get update -qq
if [ -n "$unpacked" ]; then
    mkdir -p "$place"
    if (cd "$place" && apt-get download -qq "$unpacked" 2>/dev/null); then
        dpkg-deb -x "$place/$unpacked"_*.deb "$place"
        rm "$place/$unpacked"_*.deb
    else
        echo "note: not to be had: $unpacked; the tests that need it are skipped"
    fi
fi
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ]; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $wanted >/dev/null
else
    echo "note: not installed:$wanted; the tests that need them are skipped"
fi
