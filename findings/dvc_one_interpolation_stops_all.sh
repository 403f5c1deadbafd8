#!/bin/sh
# DVC 3.67.1: one ${…} in dvc.yaml that names nothing stops every stage, not only its own.
#
# `dvc repro other`, `dvc status` and `dvc checkout` fail; `dvc metrics show` warns and ends with
# status 0 and no metrics. `dvc repro --single-item other` resolves only the stage that it is
# given.
#
# Seen: ERROR: failed to parse 'stages.bad.cmd' in 'dvc.yaml': Could not find 'nothing.here'
# Source: dvc/repo/index.py, Index.from_file() loads all stages of a file, for the graph
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
printf '  bad:\n    cmd: echo ${nothing.here}\n' >>dvc.yaml
for command in 'repro copy' status checkout; do
    if dvc $command >"$work/out" 2>&1; then fail "dvc $command succeeds"; fi
    grep -q "failed to parse 'stages.bad.cmd'" "$work/out" || fail "$(cat "$work/out")"
done
dvc metrics show >"$work/out" 2>&1 || fail "dvc metrics show fails"
grep -q 'failed to load metrics' "$work/out" || fail "$(cat "$work/out")"
dvc repro --quiet --single-item copy || fail "dvc repro --single-item fails"
echo "as before: one bad interpolation stops all stages"
