#!/bin/sh
# Sets up .venv and runs every everyday test; further arguments go to pytest.
set -eu
cd "$(dirname "$0")"
sh setup.sh device,emulate,heic,tflite,train,test
exec .venv/bin/python -m pytest -m "not slow" "$@"
