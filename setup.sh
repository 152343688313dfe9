#!/bin/sh
# Makes .venv and installs this checkout with the extras named: sh setup.sh emulate,test
# A second call with the same extras and the same pyproject.toml returns at once.
set -eu
cd "$(dirname "$0")"
extras="$1"
command -v python3 > /dev/null || { echo "setup: python3 is missing; on Debian: apt install python3 python3-venv" >&2; exit 2; }
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  echo "setup: $(python3 --version) is too old; expected Python 3.10 or later" >&2
  exit 2
fi
if ! python3 -c 'import venv, ensurepip' 2> /dev/null; then
  echo "setup: python3 cannot make virtual environments; on Debian: apt install python3-venv" >&2
  exit 2
fi
# pip comes last in it: without pip an earlier call was stopped half-way
.venv/bin/python -c 'import pip' 2> /dev/null || python3 -m venv .venv
stamp=".venv/installed-$(echo "$extras" | tr , -)"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
  echo "installing hyper-mcu[$extras] into .venv (once)" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
  : > "$stamp"
fi
