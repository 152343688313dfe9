#!/bin/sh
# One photo to a verdict: sets up .venv, enrols a photo, asks an emulated Cortex-M4 about two others.
set -eu
cd "$(dirname "$0")"
sh setup.sh emulate
exec .venv/bin/hyper-mcu demo "$@"
