#!/usr/bin/env bash
# In a partial clone `dvc exp run --temp` ends in an error that consists of the hash of an object.
#
# Versions: DVC 3.67.1, scmrepo 3.6.2, dulwich 1.2.21, git 2.39.5.
# Behaviour: DVC pushes the commits of an experiment to a temporary repository with dulwich, which
#   reads each object itself. One that the clone has left for git to fetch is a KeyError.
# Seen: "ERROR: unexpected error - b'<40 digits>'", status 255. After
#   `git fetch --refetch --no-filter` the same command succeeds.
# Source: push_refspecs in scmrepo/git/backend/dulwich/__init__.py; https://git-scm.com/docs/partial-clone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet dvc==3.67.1 scmrepo==3.6.2 dulwich==1.2.21
export PATH="$work/env/bin:$PATH" DVC_SITE_CACHE_DIR="$work/site" DVC_NO_ANALYTICS=1
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a

git init --quiet "$work/source"
cd "$work/source"
git config uploadpack.allowFilter true
dvc init --quiet
echo 1 > in.txt
echo 'stages: {one: {cmd: cat in.txt > out.txt, deps: [in.txt], outs: [{out.txt: {cache: false}}]}}' > dvc.yaml
for value in 1 2; do
  echo $value > in.txt
  dvc repro --quiet
  git add --all
  git commit --quiet --message "$value"
done
git clone --quiet --filter=blob:none "file://$work/source" "$work/partial"
cd "$work/partial"
echo 3 > in.txt
missing=$(git rev-list --objects --all --missing=print | grep '^?' | tr -d '?')
status=0
said=$(dvc exp run --temp 2>&1) || status=$?
echo "status $status, $(grep ERROR <<< "$said")"
hash=$(grep ERROR <<< "$said" | sed "s/^ERROR: unexpected error - b'\([0-9a-f]*\)'$/\1/")
[ $status = 255 ]
grep --quiet --line-regexp "$hash" <<< "$missing"
git fetch --quiet --refetch --no-filter
dvc exp run --quiet --temp
