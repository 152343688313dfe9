#!/bin/sh
# Sets up .venv and runs every everyday test, a file at a time on each core; further arguments go to pytest.
set -eu
cd "$(dirname "$0")"
sh setup.sh device,emulate,heic,tflite,train,test
exec .venv/bin/python -m pytest -m "not slow" -n auto --dist loadfile "$@"
