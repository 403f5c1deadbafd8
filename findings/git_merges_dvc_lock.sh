#!/usr/bin/env bash
# git merges dvc.lock into an entry that no run made, and DVC calls its result up to date.
#
# Versions: DVC 3.67.1, git 2.39.5.
# Behaviour: two branches change one input each, and the output stays the same on each. The entries
#   of the inputs in dvc.lock are lines apart, so `git merge` has no conflict. `dvc status` then
#   compares the files with the merged entry, which they match; `dvc repro` runs nothing, although a
#   forced run gives another output.
# Seen: "Data and pipelines are up to date.", output 0; after `dvc repro --force`, output 1.
# Source: https://dvc.org/doc/user-guide/how-to/merge-conflicts, which is about merges with a
#   conflict only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet dvc==3.67.1
export PATH="$work/env/bin:$PATH" DVC_SITE_CACHE_DIR="$work/site" DVC_NO_ANALYTICS=1
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a

git init --quiet --initial-branch=main "$work/project"
cd "$work/project"
dvc init --quiet
echo 1 > a.txt
echo 1 > b.txt
cat > dvc.yaml <<'YAML'
stages:
  is_large:
    cmd: echo $(($(cat a.txt) + $(cat b.txt) > 3)) > large.txt
    deps: [a.txt, b.txt]
    outs: [{large.txt: {cache: false}}]
YAML
dvc repro --quiet
git add --all
git commit --quiet --message "both are 1"
for name in a b; do
  git switch --quiet --create "branch-$name" main
  echo 2 > $name.txt
  dvc repro --quiet
  git commit --quiet --all --message "$name is 2"
done

git merge --quiet branch-a --message merged # no conflict
status=$(dvc status)
dvc repro --quiet
merged=$(cat large.txt)
dvc repro --quiet --force
forced=$(cat large.txt)
echo "status: $status; output: $merged; output of a forced run: $forced"
[ "$status; $merged; $forced" = "Data and pipelines are up to date.; 0; 1" ]
