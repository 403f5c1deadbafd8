#!/usr/bin/env bash
# In a shallow clone `dvc exp run --temp` runs the experiment, says nothing, and does not save it.
#
# Versions: DVC 3.67.1, git 2.39.5.
# Behaviour: the stages run, the status is 0, no error is printed, and there is no ref of the
#   experiment afterwards: its results are lost. `dvc exp run` in the workspace saves its own.
# Seen: "Running stage 'one'", status 0; `dvc exp list` prints nothing.
# Source: https://dvc.org/doc/user-guide/troubleshooting#git-shallow ("may fail"), which knows of
#   errors only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet dvc==3.67.1
export PATH="$work/env/bin:$PATH" DVC_SITE_CACHE_DIR="$work/site" DVC_NO_ANALYTICS=1
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a

git init --quiet "$work/source"
cd "$work/source"
dvc init --quiet
echo 'stages: {one: {cmd: cat in.txt > out.txt, deps: [in.txt], outs: [{out.txt: {cache: false}}]}}' > dvc.yaml
for value in 1 2; do
  echo $value > in.txt
  dvc repro --quiet
  git add --all
  git commit --quiet --message "$value"
done
git clone --quiet --depth 1 "file://$work/source" "$work/shallow"
cd "$work/shallow"
echo 3 > in.txt
said=$(dvc exp run --temp --name aside 2>&1)
listed=$(dvc exp list)
echo "$said"
echo "listed: '$listed'"
grep --quiet "Running stage 'one'" <<< "$said"
! grep --quiet ERROR <<< "$said"
[ -z "$listed" ]
dvc exp run --quiet --name here
dvc exp list | grep --quiet here
