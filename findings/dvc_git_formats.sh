#!/usr/bin/env bash
# DVC runs pipelines in a git repository of SHA-256 or with reftable, and reads no commit of it.
#
# Versions: DVC 3.67.1, scmrepo 3.6.2, pygit2 1.21.0 (libgit2 1.9), git 2.39.5 and 2.47.3. git knows
#   SHA-256 since 2.29 and reftable since 2.45, and plans both as defaults of 3.0.
# Behaviour: `dvc repro` and `dvc status` ask git for nothing that depends on the format. Whatever
#   reads commits, `dvc metrics diff` and experiments, opens the repository with libgit2, which
#   refuses it.
# Seen: "ERROR: unexpected error - .../.git/: unknown object format 'sha256'" and
#   "... unsupported extension name extensions.refstorage", status 255.
# Source: https://github.com/libgit2/libgit2/pull/6191 (SHA-256 is a build option of libgit2, off
#   by default), https://git-scm.com/docs/BreakingChanges (plans for git 3.0).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet dvc==3.67.1 scmrepo==3.6.2 pygit2==1.21.0
export PATH="$work/env/bin:$PATH" DVC_SITE_CACHE_DIR="$work/site" DVC_NO_ANALYTICS=1
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a

try() { # an option of `git init`, and what DVC says
  rm -rf "$work/project"
  if ! git init --quiet "$1" "$work/project" 2>/dev/null; then
    echo "$1: this git does not know it"
    return
  fi
  cd "$work/project"
  mkdir .dvc
  touch .dvc/config
  echo 'stages: {one: {cmd: echo 1 > one.txt, outs: [{one.txt: {cache: false}}]}}' > dvc.yaml
  dvc repro --quiet
  git add --all
  git commit --quiet --message first
  [ "$(dvc status)" = "Data and pipelines are up to date." ]
  for command in "metrics diff HEAD" "exp run" "exp run --temp" "exp list"; do
    status=0
    # shellcheck disable=SC2086
    said=$(dvc $command 2>&1) || status=$?
    echo "$1: dvc $command: status $status, $(grep ERROR <<< "$said")"
    [ $status = 255 ]
    grep --quiet "ERROR: unexpected error - .*/.git/: $2\$" <<< "$said"
  done
}

try --object-format=sha256 "unknown object format 'sha256'"
try --ref-format=reftable "unsupported extension name extensions.refstorage"
