#!/usr/bin/env bash
# package.sh FOLDER: build the source archive and the wheel into FOLDER, check both, and install the wheel by itself.
# Needs the extra `dist`.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
python -m build --outdir "$folder" . >/dev/null
twine check --strict "$folder"/*
check-wheel-contents "$folder"/*.whl
try=$(mktemp -d)
trap 'rm -rf "$try"' EXIT
python -m venv "$try"
"$try/bin/pip" install --quiet --disable-pip-version-check "$folder"/*.whl
"$try/bin/gemvec" --version
"$try/bin/python" -c 'import gemvec; gemvec.GeminiEmbeddingFunction'
