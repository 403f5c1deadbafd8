#!/bin/sh
# DVC 3.67.1: without a DVC remote `dvc exp push` pushes no data, and ends with status 0.
#
# `dvc push` fails there. A remote that is committed later changes nothing for older experiments,
# because DVC reads the configuration of the experiment's own commit; one in .dvc/config.local
# counts. `dvc exp pull` of what was never pushed ends with status 0, too; `dvc exp apply` then
# writes params.yaml and dvc.lock before it fails for lack of the data.
#
# Seen: Pushed experiment five to Git remote 'origin'.
# Source: dvc/repo/index.py, lines 224 to 252: an output without a remote is passed over; `dvc
#   push` fails because it pushes the run cache, too (dvc/repo/push.py, line 103), which `dvc exp
#   push` does not
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
git init --quiet --bare "$work/origin"
git remote add origin "$work/origin"
git push --quiet origin main
dvc exp run --quiet --name five --set-param one.x=5
git restore .
if dvc push >"$work/out" 2>&1; then fail "dvc push succeeds without a remote"; fi
dvc exp push origin five >"$work/out" 2>&1 || fail "dvc exp push fails: $(cat "$work/out")"
grep -q 'Pushed experiment' "$work/out" || fail "$(cat "$work/out")"

mkdir "$work/storage"
dvc remote add --quiet --default storage "$work/storage"
git commit --quiet --all --message remote
git push --quiet origin main
dvc exp push origin five >"$work/out" 2>&1 || fail "dvc exp push fails: $(cat "$work/out")"
test -z "$(find "$work/storage" -type f)" || fail "the committed remote got data"

git clone --quiet "$work/origin" "$work/clone"
cd "$work/clone"
dvc exp pull origin five >"$work/out" 2>&1 || fail "dvc exp pull fails: $(cat "$work/out")"
if dvc exp apply five >"$work/out" 2>&1; then fail "dvc exp apply succeeds"; fi
grep -q 'x: 5' params.yaml || fail "dvc exp apply left params.yaml alone"

cd "$work/a"
dvc remote add --quiet --local --default storage "$work/storage"
dvc exp push origin five >"$work/out" 2>&1 || fail "dvc exp push fails: $(cat "$work/out")"
test "$(find "$work/storage" -type f | wc -l)" -eq 1 || fail "the local remote got no data"
echo "as before: dvc exp push without a remote says that it pushed"
