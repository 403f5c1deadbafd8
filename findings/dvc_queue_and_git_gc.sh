#!/bin/sh
# DVC 3.67.1 with git 2.39: `git gc` deletes queued experiments that are 30 days old.
#
# DVC keeps them as entries in the reflog of refs/exps/celery/stash, where git takes all but the
# newest for unreachable; its own refs/stash it spares. Their tasks stay in DVC's queue: `dvc queue
# status` fails, `dvc queue remove` says "Removed" and removes nothing. With gc.<ref>.reflogExpire
# and gc.<ref>.reflogExpireUnreachable set to never, they are kept. An experiment that the queue
# has run is kept as a ref, but its task leads to the same error (seen by hand), with these
# settings too.
#
# Seen: ERROR: unexpected error - Invalid commit '7f6e911…'
# Source: https://github.com/treeverse/dvc/issues/9900 (open); dvc/repo/experiments/queue/base.py,
#   status(): resolve_commit of each task; dvc/repo/experiments/queue/remove.py, remove_tasks(): a
#   task that is not in the stash is looked for among those that ran only;
#   https://git-scm.com/docs/git-gc (gc.<pattern>.reflogExpireUnreachable)
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
age() { # makes all that git has 40 days old
    then=$(($(date +%s) - 40 * 86400))
    find .git/logs -type f -exec sed -i -E "s/> [0-9]{10} /> $then /" {} +
    find .git/objects -type f -exec touch -d '40 days ago' {} +
}
cp -R "$work/a" "$work/kept"
dvc exp run --quiet --queue --name older --set-param one.x=2
dvc exp run --quiet --queue --name newest --set-param one.x=3
dvc queue status | grep -q 'older .*Queued' || fail "the queue lists no experiment"
age
git gc --quiet
for _ in 1 2; do
    if dvc queue status >"$work/out" 2>&1; then fail "dvc queue status succeeds"; fi
    grep -q 'Invalid commit' "$work/out" || fail "$(cat "$work/out")"
    dvc queue remove --queued >"$work/out" || fail "dvc queue remove fails"
done
grep -q older "$work/out" || fail "the second dvc queue remove found no task"

cd "$work/kept"
git config gc.refs/exps/celery/stash.reflogExpire never
git config gc.refs/exps/celery/stash.reflogExpireUnreachable never
dvc exp run --quiet --queue --name older --set-param one.x=2
dvc exp run --quiet --queue --name newest --set-param one.x=3
age
git gc --quiet
test "$(dvc queue status | grep -c Queued)" = 2 || fail "the settings keep no experiment"
echo "as before: queued experiments are lost without the settings, and kept with them"
