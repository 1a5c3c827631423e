#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, and use it there from outside the source tree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m build --quiet --outdir "$work/dist" .
python=$(readlink -f .venv/bin/python)
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$work"/dist/*.whl
code=0 && "$work/venv/bin/paychainhq" --version || code=$?
[ "$code" = 4 ] || { echo "without click, the command must exit with 4, not $code"; exit 1; }
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$(echo "$work"/dist/*.whl)[cli]"
"$work/venv/bin/paychainhq" --version
cp examples/quickstart.py examples/demo.py examples/orders.csv "$work"
cd "$work"
venv/bin/python quickstart.py
venv/bin/python demo.py output >demo.txt
tail -n 3 demo.txt
venv/bin/python - <<'PY'
from importlib.metadata import files
from pathlib import Path

import paychainhq

assert "site-packages" in paychainhq.__file__, paychainhq.__file__
for name in ("py.typed", "emulator/inspector/inspector.js", "emulator/inspector/inspector.css"):
    assert (Path(paychainhq.__file__).parent / name).exists(), name
stray = [str(file) for file in files("paychainhq") or [] if file.parts[0] in ("tests", "examples", "docs", "benchmarks", "stress", "tools")]
assert not stray, stray
PY
echo "the wheel works"
