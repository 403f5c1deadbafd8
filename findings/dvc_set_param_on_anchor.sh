#!/bin/sh
# DVC 3.67.1: `dvc exp run --set-param` on a section with a YAML anchor is lost, with status 0.
#
# The stage is skipped as unchanged. On an alias of that section it changes the anchor's section
# too; a merge key then gets the old value written beside it.
#
# Seen: params.yaml still has x: 1 after `-S one.x=5`; both have x: 6 after `-S two.x=6`
# Source: https://github.com/treeverse/dvc/issues/10984 (closed as expected behaviour);
#   dvc/utils/hydra.py, apply_overrides(): the values of all keys are merged into what ruamel.yaml
#   loaded, where a section and its aliases are one object, so that the last one wins
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
cat >params.yaml <<'END'
one: &one
  x: 1
two: *one
END
dvc repro --quiet
git commit --quiet --all --message anchors
dvc exp run --set-param one.x=5 >"$work/out" 2>&1 || fail "$(cat "$work/out")"
grep -q "Stage 'copy' didn't change, skipping" "$work/out" || fail "the stage ran"
if grep -q 5 params.yaml; then fail "the change of the anchor is kept"; fi
git restore .
dvc exp run --set-param two.x=6 >"$work/out" 2>&1 || fail "$(cat "$work/out")"
python - <<'END' || fail "params.yaml has other values: $(cat params.yaml)"
import sys
from ruamel.yaml import YAML

sys.exit(YAML(typ="safe").load(open("params.yaml")) != {"one": {"x": 6}, "two": {"x": 6}})
END
echo "as before: the change of the anchor is lost, that of the alias changes both"
