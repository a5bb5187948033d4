#!/bin/sh
# Install the pinned uv into a folder, with whichever of venv and pip this Python has.
# usage: get-uv.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --target "$folder" -r requirements-uv.txt
else
    echo "uv is missing, and $python has neither venv nor pip to install it with." >&2
    echo "Install uv, or the package python3-venv, and run make again." >&2
    exit 2
fi
