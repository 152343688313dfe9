#!/bin/sh
# Measures anew what depends on the shipped generator, after another one was put there: sh benchmarks/renew.sh FACES
# What they say is then to be written into README.md, the generator's model card and firmware/CAMERA.md.
set -eu
cd "$(dirname "$0")/.."
faces="$1"
made() { echo "$1" >&2; python "benchmarks/$@"; }
made held_out.py --faces "$faces" --save benchmarks/results/held_out.json
made personal.py --faces "$faces" --save benchmarks/results/personal.json
made accuracy.py --faces "$faces" --save benchmarks/results/accuracy.json --plot docs/accuracy.png
made table1.py --plot docs/table1.png
made raw_photos.py --photos "$faces/raw" --save benchmarks/results/raw_photos.json
made enrolment.py --photos "$faces/raw" --save benchmarks/results/enrolment.json
made enrolment_variants.py --faces "$faces" --save benchmarks/results/enrolment_variants.json
made leakage.py --faces "$faces" --save benchmarks/results/leakage.json
made quality.py --faces "$faces" --save benchmarks/results/quality.json
made camera.py --photos "$faces/raw" --save benchmarks/results/camera.json
made parity.py --faces "$faces" --save benchmarks/results/parity.json
