"""Run a grid of settings as DVC experiments, and say which of them are really better.

    python -m tools.sweep mlp.hidden=100,200,300 contexts.block_size=3,5 --seeds 5
                                     every combination with the seeds 1 to 5, on this machine
    python -m tools.sweep ... --dry-run
                                     only shows what would run
    python -m tools.sweep ... --address tls://head:8786
                                     the same on the nodes of a Dask cluster
    python -m tools.sweep --new-key  writes sweep.pem, which the cluster's machines need

Values are written as for `dvc exp run -S`; a range is range(100,400,100). Each combination and seed
is the experiment of its name, such as hidden-300-block_size-5-seed-2. One that exists for the same
code and parameters is not run again, so the same command goes on after Ctrl-C. All are compared
with the settings of HEAD, the base, by the loss on dev names that are not in train.
"""

import argparse
import importlib
import shlex
import sys
from pathlib import Path
from types import ModuleType

from tabulate import tabulate

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from charlm.core.yaml_files import parse_yaml
from charlm.models.registry import MODELS
from tools.compare.runs import Run, add_options, read_run
from tools.dvc_state import cache_folder
from tools.experiments import (
    PARAMS,
    commit_of,
    estimate_s,
    experiment_ref,
    file_of,
    find,
    git,
    head_commit,
)
from tools.program import argument_parser, positive, run_tool
from tools.sweep import grid, picture, verdicts
from tools.sweep.grid import Plan
from tools.sweep.local import LocalEngine, check_repository, core_count
from tools.sweep.runner import Engine, Experiments, duration, run_experiments
from tools.sweep.transport import has_results

PICTURE = Path("dvc_plots/sweep.svg")  # git ignores the folder
KEY = Path("sweep.pem")  # git ignores it
TEST_SPLITS = "evaluate.splits=[train,dev,test]"


def check_clean(head: str) -> None:
    """Refuse changes that are not committed: experiments start from a commit.

    Raises:
        InputError: there are some.
    """
    listed = git("diff", "--name-only", "--relative", "-z", head, "--", ".").decode()
    if changed := listed.split("\0")[:-1]:
        more = f" and {len(changed) - 1} more" * (len(changed) > 1)
        paths = shlex.join(dict.fromkeys(path.partition("/")[0] for path in changed))
        raise InputError(
            f"sweep: {changed[0]}{more} changed since the last commit, and experiments start "
            f"from that; commit first: `git add {paths} && git commit`"
        )


def split_existing(experiments: Experiments, head: str) -> tuple[list[str], Experiments]:
    """Return the names of the experiments that are there already, and those that are to run.

    Args:
        experiments: all of them.
        head: the commit that they start from.

    Raises:
        InputError: one of them is the name of an experiment with other code or parameters.
    """
    there, to_run, others = [], {}, []
    cache = cache_folder()
    for name, overrides in experiments.items():
        commit = commit_of(experiment_ref(name, head))
        if commit and not find(name, overrides, head):
            others.append(name)
        elif commit and has_results(commit, cache):
            there.append(name)
        else:
            to_run[name] = overrides
    if others:
        raise InputError(
            f"sweep: {', '.join(others)}: an experiment of this name has other parameters or code; "
            f"rename it with `dvc exp rename`, or `dvc exp remove {' '.join(others)}`"
        )
    return there, to_run


def describe(plan: Plan, there: list[str], to_run: Experiments, head: str, jobs: int) -> str:
    """Return what a sweep consists of, a line for each setting, and about how long it takes here.

    Args:
        plan: the settings and seeds.
        there: names of experiments that exist.
        to_run: the others.
        head: the commit that they start from.
        jobs: how many run at once.
    """
    rows = []
    for setting in plan.all_settings():
        names = list(plan.experiments(setting))
        left = sum(name in to_run for name in names)
        what = " ".join(setting.overrides) or "as in HEAD"
        rows.append((names[0] + f" … {len(names)}" * (len(names) > 1), what, left or "none"))
    short = git("rev-parse", "--short", head).decode().strip()
    seeds = f"{plan.seed_param} 1 to {len(plan.seeds)}" if plan.seeds else "one run each"
    table = tabulate(rows, ("experiments", "parameters", "to run"), disable_numparse=True)
    settings = parse_yaml(file_of(head, PARAMS))
    total_s = sum(estimate_s(settings, overrides) for overrides in to_run.values())
    time = f", about {duration(total_s / jobs)} on this machine" if to_run else ""
    return (
        f"{len(plan.all_settings())} settings of {short}, {seeds}, judged by {plan.model}: "
        f"{len(there)} experiments exist, {len(to_run)} to run{time}\n\n{table}"
    )


def choose_engine(arguments: argparse.Namespace, head: str) -> Engine:
    """Return the engine of this machine or of a cluster."""
    check_repository()
    if arguments.address is None:
        return LocalEngine(arguments.jobs, head)
    cluster: Engine = import_cluster().DaskEngine(arguments.address, arguments.key, head)
    return cluster


def import_cluster() -> ModuleType:
    """Return the engine of clusters.

    Raises:
        InputError: its packages are not installed.
    """
    try:
        return importlib.import_module("tools.sweep.dask_engine")
    except ModuleNotFoundError as error:
        raise InputError(
            f"sweep: no package {error.name}; clusters need the extra `cluster`, here and on every "
            "node: pip install -c constraints.txt -c constraints-cluster.txt '.[cluster]'"
        ) from None


def run_missing(
    experiments: Experiments, arguments: argparse.Namespace, head: str
) -> dict[str, str]:
    """Run experiments, the longest first; return the errors of those that failed."""
    if not experiments:
        return {}
    settings = parse_yaml(file_of(head, PARAMS))
    longest_first = sorted(experiments, key=lambda name: -estimate_s(settings, experiments[name]))
    ordered = {name: experiments[name] for name in longest_first}
    return run_experiments(ordered, choose_engine(arguments, head))


def read_runs(groups: dict[str, list[str]], head: str) -> dict[str, list[Run]]:
    """Return the runs of each setting, given the names of its experiments."""
    return {
        setting: [read_run(commit_of(experiment_ref(name, head))) for name in names]
        for setting, names in groups.items()
    }


def test_lines(
    plan: Plan, best: str, arguments: argparse.Namespace, head: str
) -> tuple[list[str], dict[str, str]]:
    """Return the test loss of the best setting beside that of the base, and what failed."""
    settings = {one.name: one for one in plan.all_settings() if one.name in (best, plan.base.name)}
    experiments: Experiments = {}
    groups: dict[str, list[str]] = {}
    for setting, one in settings.items():
        for name, overrides in plan.experiments(one).items():
            experiments[f"{name}-test"] = [*overrides, TEST_SPLITS]
            groups.setdefault(setting, []).append(f"{name}-test")
    _, to_run = split_existing(experiments, head)
    if errors := run_missing(to_run, arguments, head):
        return [], errors
    found = verdicts.losses(plan.model, read_runs(groups, head), "test")
    base = found.nll[plan.base.name]
    row = verdicts.compare(
        settings[best], found.nll[best], base, found.characters, 1, arguments.negligible
    )
    lines = [
        f"Test loss of {best}, on {len(found.characters):,} test names not in train: {row.loss:.4f}"
    ]
    if best != plan.base.name:
        lines[0] += f", {row.difference:+.5f} from the base"
        lines.append(
            f"(95 % interval {row.low:+.5f} to {row.high:+.5f}): {row.verdict}{row.detail}."
        )
    return lines, {}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("axes", nargs="*", metavar="PARAMETER=VALUES", help="a parameter and its values")
    add("--seeds", type=positive, metavar="N", help="run every setting with the seeds 1 to N")
    add("--seed-param", metavar="PARAMETER", help="the seed to set; by default that of the model")
    add("--model", metavar="MODEL", help=f"the model that is judged: {', '.join(MODELS)}")
    add("--dry-run", action="store_true", help="show the experiments and run nothing")
    add("--jobs", type=positive, metavar="N", help="how many at once here; by default one per core")
    add("--address", help="of the Dask scheduler whose nodes run the experiments")
    add("--key", type=Path, default=KEY, metavar="FILE", help=f"of the cluster: {KEY}")
    add("--new-key", action="store_true", help="write a key for a new cluster, and run nothing")
    add("--test", action="store_true", help="also score the best setting and the base on test")
    add("--picture", type=Path, default=PICTURE, metavar="FILE", help=f"an SVG file: {PICTURE}")
    add_options(parser)
    return parser


def main() -> None:
    arguments = parser().parse_args()
    if arguments.new_key:
        print(import_cluster().write_key(arguments.key))
        return
    if not arguments.axes:
        parser().error("give what to sweep, such as mlp.hidden=100,200,300")
    head = head_commit()
    plan = grid.plan(arguments.axes, arguments.seeds, arguments.seed_param, arguments.model)
    check_clean(head)
    there, to_run = split_existing(plan.all_experiments(), head)
    shown = describe(plan, there, to_run, head, arguments.jobs or core_count())
    print(shown, file=sys.stdout if arguments.dry_run else sys.stderr)
    if arguments.seeds and not plan.seeds:
        print(f"{plan.model} has no seed, so every setting is run once.", file=sys.stderr)
    if arguments.dry_run:
        return
    errors = run_missing(to_run, arguments, head)
    report(plan, errors, arguments, head)
    if errors:
        raise InputError("\n".join(f"{name} failed: {why}" for name, why in errors.items()))


def report(plan: Plan, errors: dict[str, str], arguments: argparse.Namespace, head: str) -> None:
    """Print the table, the best setting and the notes, and draw the picture."""
    groups = {one.name: list(plan.experiments(one)) for one in plan.all_settings()}
    failed = {setting: len(errors.keys() & {*names}) for setting, names in groups.items()}
    whole = {setting: names for setting, names in groups.items() if not failed[setting]}
    if not whole:
        return
    found = verdicts.losses(plan.model, read_runs(whole, head))
    rows = verdicts.judge_settings(plan, found, failed, arguments.negligible)
    best = verdicts.choose_best(rows, found)
    lines = verdicts.explain_best(plan, rows, best)
    if arguments.test and best:
        tested, more_errors = test_lines(plan, best.setting, arguments, head)
        lines += tested
        errors.update(more_errors)
    lines += ["", *verdicts.notes(plan, len(found.characters))]
    write_bytes(arguments.picture, picture.draw(plan, rows))
    if arguments.json:
        print(verdicts.as_json(plan, rows, best, lines, errors))
        return
    print(verdicts.as_text(plan.axes, rows, "pipe" if arguments.md else "simple"))
    print("", *lines, f"Picture: {arguments.picture}", sep="\n")


if __name__ == "__main__":
    run_tool(main)
