#!/bin/sh
# GTO 1.10.1 (with DVC 3.67.1): a lightweight tag is no version, and blocks the one of its name.
#
# Only annotated tags are read, because GTO takes author and date from the tag. `git for-each-ref
# --format='%(objecttype) %(refname:short)' refs/tags` shows lightweight ones as commit, annotated
# ones as tag.
#
# Seen: `gto show` prints "Nothing found in the current workspace"; `gto register` then prints "tag
#   'm@v1.0.0' already exists"
# Source: gto/tag.py, find() passes over lightweight tags; create_tag() stops at any tag of the
#   name
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet dvc==3.67.1 gto==1.10.1
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
printf 'artifacts:\n  m:\n    path: out.txt\n    type: model\n' >>dvc.yaml
git commit --quiet --all --message artifact
git tag m@v1.0.0
gto show >"$work/out" 2>&1
if grep -q v1.0.0 "$work/out"; then fail "gto show lists a lightweight tag"; fi
if gto register m --version v1.0.0 >"$work/out" 2>&1; then fail "gto register succeeds"; fi
grep -q 'already exists' "$work/out" || fail "$(cat "$work/out")"
if dvc artifacts get . m --rev v1.0.0 --out x >"$work/out" 2>&1; then fail "dvc gets it"; fi
git tag --annotate --force --message m m@v1.0.0 'm@v1.0.0^{commit}' >"$work/out"
gto show | grep -q v1.0.0 || fail "gto show lists no annotated tag"
dvc artifacts get . m --rev v1.0.0 --out x >"$work/out" 2>&1 || fail "$(cat "$work/out")"
echo "as before: only the annotated tag is a version"
