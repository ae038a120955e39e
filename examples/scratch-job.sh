#!/bin/sh
# A job with scratch space in memory: mounts imssfs, stages input in, computes, stages the result out, unmounts.
#
#   examples/scratch-job.sh INPUT_FOLDER RESULT_FILE [CAPACITY]
set -eu

input=${1:?usage: scratch-job.sh INPUT_FOLDER RESULT_FILE [CAPACITY]}
result=${2:?usage: scratch-job.sh INPUT_FOLDER RESULT_FILE [CAPACITY]}
capacity=${3:-1G}
PATH=$PATH:$(cd "$(dirname "$0")/../bin" && pwd)

scratch=$(mktemp -d)
trap 'umount-imss "$scratch" && rmdir "$scratch"' EXIT
imssfs -S "$capacity" "$scratch"

# Stage in.
cp -a "$input" "$scratch/input"

# Compute: whatever reads and writes many small files. Here: a checksum of each, sorted.
mkdir "$scratch/sums"
(cd "$scratch/input" && find . -type f -printf '%P\n') | while IFS= read -r file; do
  sum=$(sha256sum "$scratch/input/$file")
  printf '%s  %s\n' "${sum%% *}" "$file" >"$scratch/sums/$(printf %s "$file" | tr / _)"
done
sort "$scratch"/sums/* >"$scratch/result"

# Stage out.
cp "$scratch/result" "$result"
