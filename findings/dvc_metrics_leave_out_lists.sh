#!/bin/sh
# DVC 3.67.1: lists and nulls vanish from metrics without a word, a boolean counts as 0 or 1.
#
# Nested mappings are shown under a dotted key. In `dvc metrics diff` a boolean that became false
# differs by -1, and a text that changed has no difference.
#
# Seen: of {"a": 1, "list": [1, 2], "null": null, "flag": true, "deep": {"v": 2, "list": [3]}} `dvc
#   metrics show` has a, flag and deep.v
# Source: dvc/repo/metrics/show.py, _extract_metrics(): keeps int, float, str and mappings
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
write() { # a boolean, and the second value of a list
    cat >m.json <<END
{"a": 1, "list": [1, $2], "null": null, "flag": $1, "deep": {"v": 2, "list": [3]}}
END
}
write true 2
printf 'metrics: [m.json]\n' >>dvc.yaml
git add --all
git commit --quiet --message metrics
shown=$(dvc metrics show | head -1 | tr -s ' ')
test "$shown" = "Path a deep.v flag" || fail "$shown"
write true 9
test -z "$(dvc metrics diff)" || fail "$(dvc metrics diff)"
write false 9
shown=$(dvc metrics diff | tail -1 | tr -s ' ')
test "$shown" = "m.json flag True False -1" || fail "$shown"
echo "as before: lists and nulls are not shown"
