#!/bin/sh
# DVC 3.67.1 with git 2.39: in a sparse checkout `dvc exp run` writes back the files that were left
# out.
#
# With or without --temp, skip-worktree is cleared in git's index, so `git status` stays clean, and
# `git sparse-checkout reapply` leaves them out again. Where the cone lacks .dvc, DVC finds no
# repository at all.
#
# Seen: ls-files -t shows "S big/file" before, and "H big/file" after
# Source: scmrepo/git/backend/pygit2/__init__.py: checkout and reset with libgit2, which knows no
#   sparse checkout: https://github.com/libgit2/libgit2/issues/2263
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
mkdir big
echo 1 >big/file
git add big
git commit --quiet --message big
git clone --quiet --no-checkout "$work/a" "$work/b"
cd "$work/b"
git sparse-checkout set small
git checkout --quiet main
if dvc status >"$work/out" 2>&1; then fail "dvc status needs no .dvc"; fi
git sparse-checkout set .dvc
for how in --temp --force; do
    git ls-files -t | grep -q '^S big/file' || fail "big/file is not left out"
    dvc exp run --quiet $how --set-param one.x=2 --name "two$how"
    test -f big/file || fail "dvc exp run $how leaves big/file out"
    git ls-files -t | grep -q '^H big/file' || fail "the index still leaves big/file out"
    git restore .
    git sparse-checkout reapply
    test ! -e big/file || fail "reapply does not leave big/file out"
done
echo "as before: dvc exp run writes back what the checkout left out"
