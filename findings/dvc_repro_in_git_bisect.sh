#!/bin/sh
# DVC 3.67.1 with git 2.39: `git bisect run dvc repro` stops where a commit's dvc.lock is stale.
#
# `dvc repro` rewrites dvc.lock there, and git refuses to check out the next commit over it. A
# script that restores the tracked files before it ends finds the commit.
#
# Seen: error: Your local changes to the following files would be overwritten by checkout: dvc.lock
# Source: https://git-scm.com/docs/git-bisect (a script must undo its own changes);
#   dvc/stage/__init__.py, run() dumps dvc.lock
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
for x in 2 3 4 5 6 7 8; do # those with even numbers do not commit their dvc.lock
    printf 'one:\n  x: %s\n' "$x" >params.yaml
    test $((x % 2)) = 0 || dvc repro --quiet
    git add --all
    git commit --quiet --message "x is $x"
done
cat >"$work/check" <<'END'
dvc repro --quiet && test "$(grep -o '[0-9]' out.txt)" -lt 5
END
cat >"$work/tidy" <<END
sh "$work/check"
status=\$?
git restore .
exit \$status
END
git bisect start HEAD HEAD~7 >"$work/out"
if git bisect run sh "$work/check" >"$work/out" 2>&1; then fail "git bisect run succeeds"; fi
grep -q 'would be overwritten by checkout' "$work/out" || fail "$(cat "$work/out")"
git restore .
git bisect reset >"$work/out" 2>&1
git bisect start HEAD HEAD~7 >"$work/out"
git bisect run sh "$work/tidy" >"$work/out" 2>&1 || fail "$(cat "$work/out")"
grep -q 'x is 5' "$work/out" || fail "$(cat "$work/out")"
echo "as before: git bisect stops at a dvc.lock that dvc repro rewrote"
