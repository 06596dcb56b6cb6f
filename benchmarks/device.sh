#!/usr/bin/env bash
# Measure on a machine with a GPU that is lent for minutes, from a bare checkout: PyTorch is there, mm is not installed.
#
#   benchmarks/device.sh --missing               there: print the packages that it lacks
#   benchmarks/device.sh --pack FILE.tar.xz NAME...  elsewhere, with network: pack these, for Python 3.12 on x86-64 Linux
#   PACKAGES=FILE.tar.xz benchmarks/device.sh FOLDER [PART...]
#
# The last measures; PACKAGES may be left out. FOLDER/device.json has each finding as soon as it is there. PYTHON is the
# interpreter, python3 unless given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
needed=(numpy polars polars-runtime-32 tensorstore ml-dtypes numcodecs google-crc32c xxhash safetensors psutil
    pydantic pydantic-core typing-inspection annotated-types typing-extensions jinja2 markupsafe
    scikit-learn joblib cloudpickle narwhals threadpoolctl scipy tensorboard protobuf absl-py
    zarr donfig pyyaml packaging)
most_bytes=$((60 * 1000 * 1000))

case ${1:-} in
--missing)
    "$python" - "${needed[@]}" <<'END'
import importlib.metadata
import sys

there = {name.lower().replace("_", "-") for found in importlib.metadata.distributions() if (name := found.name)}
print(*(name for name in sys.argv[1:] if name not in there))
END
    exit
    ;;
--pack)
    file=${2:?the file to make}
    shift 2
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-deps --no-compile --only-binary :all: --constraint constraints.txt \
        --python-version 3.12 --implementation cp --platform manylinux_2_28_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --target "$site" "${@:?the packages}"
    tar -C "$site" --xz -cf "$file" .
    num_bytes=$(wc -c <"$file")
    echo "$file: $((num_bytes / 1000 / 1000)) MB"
    if ((num_bytes > most_bytes)); then
        echo "More than 60 MB: name only what the machine lacks." >&2
        exit 1
    fi
    exit
    ;;
esac

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if [[ -n ${PACKAGES:-} ]]; then
    "$python" -m tarfile -e "$PACKAGES" "$site"
fi
PYTHONPATH=$PWD:$site${PYTHONPATH:+:$PYTHONPATH} "$python" -m benchmarks.device "$@"
