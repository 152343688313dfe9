#!/bin/sh
# Measures anew what depends on the shipped generator, after another one was put there: sh benchmarks/renew.sh FACES
# The tables of the documents then follow by: python benchmarks/documents.py --since REV, the commit before that of the
# generator. benchmarks/results/trained.json is that of the training's own OUT. What sentences say of figures (README.md,
# the model card, DESIGN.md, firmware/CAMERA.md, docs/devices.md, docs/runtimes.md) is to be read and written again.
set -eu
cd "$(dirname "$0")/.."
faces="$1"
measure() { echo "$1" >&2; python "benchmarks/$@"; }
measure held_out.py --faces "$faces" --save benchmarks/results/held_out.json
measure personal.py --faces "$faces" --save benchmarks/results/personal.json
measure accuracy.py --faces "$faces" --save benchmarks/results/accuracy.json --plot docs/accuracy.png
measure table1.py --plot docs/table1.png
measure raw_photos.py --photos "$faces/raw" --save benchmarks/results/raw_photos.json
measure enrolment.py --photos "$faces/raw" --save benchmarks/results/enrolment.json
measure enrolment_variants.py --faces "$faces" --save benchmarks/results/enrolment_variants.json
measure leakage.py --faces "$faces" --save benchmarks/results/leakage.json
measure quality.py --faces "$faces" --save benchmarks/results/quality.json
measure camera.py --photos "$faces/raw" --save benchmarks/results/camera.json
measure parity.py --faces "$faces" --save benchmarks/results/parity.json
