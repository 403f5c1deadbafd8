#!/bin/sh
# DVC 3.67.1: a date anywhere in params.yaml stops every stage, also those that do not read it.
#
# YAML reads 2024-01-01 without quotes as a date; DVC takes it for an unexpected error of its own.
#
# Seen: ERROR: unexpected error - Unsupported value of type 'date' in 'params.yaml:notes.begun'
# Source: dvc/parsing/context.py, Node and _convert(): the whole file is read for interpolation
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet dvc==3.67.1
PATH="$work/env/bin:$PATH"
fail() {
    echo "changed: $1" >&2
    exit 1
}
export HOME="$work" DVC_SITE_CACHE_DIR="$work/site" GIT_CONFIG_NOSYSTEM=1
git config --global user.name finding
git config --global user.email finding@example.org
git config --global init.defaultBranch main
mkdir "$work/a"
cd "$work/a"
git init --quiet
dvc init --quiet
dvc config core.analytics false
printf 'one:\n  x: 1\n' >params.yaml
cat >dvc.yaml <<'END'
stages:
  copy:
    cmd: cp params.yaml out.txt
    params: [one]
    outs: [out.txt]
END
dvc repro --quiet
git add --all
git commit --quiet --message first
printf 'notes:\n  begun: 2024-01-01\n' >>params.yaml
for command in 'repro copy' status; do
    if dvc $command >"$work/out" 2>&1; then fail "dvc $command succeeds"; fi
    grep -q "unexpected error - Unsupported value of type 'date' in 'params.yaml:notes.begun'" \
        "$work/out" || fail "$(cat "$work/out")"
done
sed -i "s/2024-01-01/'2024-01-01'/" params.yaml
dvc repro --quiet copy || fail "dvc repro fails at a quoted date"
echo "as before: a date in params.yaml stops every stage"
