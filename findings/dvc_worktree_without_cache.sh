#!/bin/sh
# DVC 3.67.1: a second git worktree has the experiments of the first, and not their files.
#
# Experiments are git refs, which worktrees share; .dvc/cache and .dvc/config.local are files of
# one worktree. `dvc exp apply` writes params.yaml and dvc.lock, and then fails like `dvc
# checkout`. With `dvc cache dir --local` set to the cache of the first, both succeed.
#
# Seen: ERROR: Checkout failed for following targets: out.txt
# Source: dvc/repo/experiments/apply.py, apply(): git first, then checkout;
#   https://dvc.org/doc/command-reference/cache/dir
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
dvc exp run --quiet --name five --set-param one.x=5
git restore .
git worktree add --quiet "$work/b"
cd "$work/b"
dvc exp list | grep -q five || fail "the worktree does not list the experiment"
if dvc exp apply five >"$work/out" 2>&1; then fail "dvc exp apply succeeds"; fi
grep -q 'Checkout failed' "$work/out" || fail "$(cat "$work/out")"
grep -q 'x: 5' params.yaml || fail "dvc exp apply left params.yaml alone"
if dvc checkout --quiet 2>"$work/out"; then fail "dvc checkout succeeds"; fi
dvc cache dir --local "$work/a/.dvc/cache"
dvc checkout --quiet || fail "dvc checkout fails with the cache of the first worktree"
grep -q 'x: 5' out.txt || fail "out.txt is of another experiment"
echo "as before: the worktree has the experiment, and no cache"
