#!/usr/bin/env bash
# Install mm into a Debian 12 root, as root: what Containerfile and mm.def run, and what try.sh tries in a chroot.
#
#   install.sh SOURCE [EXTRAS]    SOURCE: a clone of the repository; EXTRAS: such as explain,onnx
#
# pip reads its own settings from the environment, such as PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS.
set -euo pipefail
source=${1:?the folder of a clone of mm}
extras=${2:-explain,onnx}
prefix=/opt/mm

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -yqq --no-install-recommends ca-certificates python3 python3-venv
rm -rf /var/lib/apt/lists/*

python3 -m venv "$prefix"
"$prefix/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
    --constraint "$source/constraints.txt" "$source[$extras]"
ln -s "$prefix/bin/mm" /usr/local/bin/mm

# Where containers mount data and the study; a study's files are those of the user who starts the container.
mkdir -p /data /study
chmod 1777 /study
useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin mm
mm --version
