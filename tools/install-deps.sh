#!/bin/sh
# Installs the Debian packages that building and testing need and this machine lacks, by apt-get (with sudo unless root);
# further ones are named as arguments.
# Says what it does; does nothing where nothing is missing.
set -eu
packages="gcc libc6-dev make re2c lemon llvm-19-dev libjansson-dev libarchive-dev libcurl4-openssl-dev libedit-dev zlib1g-dev libjpeg62-turbo-dev libpng-dev libcmocka-dev pkg-config gnuplot-nox $*"

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is no Debian: the tools and libraries of these packages are needed: $packages"
    exit 0
fi
missing=""
for package in $packages; do
    case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true) in
        *" installed") ;;
        *) [ "$package" = gnuplot-nox ] && command -v gnuplot >/dev/null 2>&1 || missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

echo "Installing Debian packages:$missing"
as_root=""
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "This needs root. Run as root: apt-get install --no-install-recommends$missing" >&2
        exit 3
    fi
    as_root="sudo"
    echo "(with sudo)"
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
