"""The experiments of a sweep: axes as `dvc exp run -S` takes them, expanded, checked and named."""

import re
from collections import Counter
from copy import deepcopy
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.utils.hydra import get_hydra_sweeps
from hydra.errors import HydraException

from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import read_bytes
from charlm.core.yaml_files import parse_yaml
from charlm.models.registry import MODELS
from tools.compare.runs import Settings, depends_on_seed
from tools.dvc_state import lookup
from tools.experiments import PARAMS, git_name, overridden

CHANGES_NAMES = "changes which names are held out, and losses are compared name by name"
NO_LOSS = "no loss of a model depends on it"
REFUSED = {  # sections and keys
    "fetch": CHANGES_NAMES,
    "split": CHANGES_NAMES,
    "evaluate": CHANGES_NAMES,
    "environment": NO_LOSS,
    "find_learning_rate": NO_LOSS,
    "sample": NO_LOSS,
}
MAX_NAME_LENGTH = 200  # of an experiment; git keeps it as a file
BASE = "base"
Axes = dict[str, list[str]]  # values as `-S` takes them, by parameter


class Setting(NamedTuple):
    """One combination of values, run with every seed."""

    name: str
    values: tuple[str, ...]  # one for each axis
    overrides: list[str]


class Plan(NamedTuple):
    """What a sweep runs, and what it is judged by."""

    axes: Axes
    model: str
    seed_param: str
    seeds: list[int]  # none: the seed, if there is one, stays as it is
    settings: list[Setting]
    base: Setting  # one of the settings, or added to them

    def all_settings(self) -> list[Setting]:
        """Return the base and the settings, each once."""
        return [self.base, *(one for one in self.settings if one is not self.base)]

    def experiments(self, setting: Setting) -> dict[str, list[str]]:
        """Return the overrides of each experiment of a setting, by name."""
        if not self.seeds:
            return {setting.name: setting.overrides}
        return {
            f"{setting.name}-seed-{seed}": [*setting.overrides, f"{self.seed_param}={seed}"]
            for seed in self.seeds
        }

    def all_experiments(self) -> dict[str, list[str]]:
        """Return the overrides of all experiments, by name."""
        groups = map(self.experiments, self.all_settings())
        return {name: overrides for group in groups for name, overrides in group.items()}


def parse_axes(arguments: list[str]) -> tuple[Axes, dict[tuple[str, str], Any]]:
    """Return the values of each swept parameter, as DVC reads them and as params.yaml holds each.

    >>> parse_axes(["mlp.hidden=range(100,300,100)", "mlp.init=scaled"])[0]
    {'mlp.hidden': ['100', '200'], 'mlp.init': ['scaled']}
    >>> parse_axes(["mlp.hidden=range(100,300,100)", "mlp.init=scaled"])[1]
    {('mlp.hidden', '100'): 100, ('mlp.hidden', '200'): 200, ('mlp.init', 'scaled'): 'scaled'}

    Raises:
        InputError: some are wrong; each is named.
    """
    axes: Axes = {}
    parsed: dict[tuple[str, str], Any] = {}
    problems = []
    for argument in arguments:
        key, separator, _ = argument.partition("=")
        try:
            if not separator or not re.fullmatch(r"\w+\.\w+", key):
                raise InputError("must be PARAMETER=VALUES, such as mlp.hidden=100,200")
            if why := REFUSED.get(key.partition(".")[0]):
                raise InputError(f"{key} cannot be swept: {why}")
            if key in axes:
                raise InputError(f"{key} occurs twice; give all values at once")
            sweeps = get_hydra_sweeps({str(PARAMS): [argument]})
        except (DvcException, HydraException) as error:
            problems.append(f"{argument}: {str(error).partition(chr(10))[0]}")
        except InputError as error:
            problems.append(f"{argument}: {error}")
        else:
            overrides = [sweep[str(PARAMS)][0] for sweep in sweeps]
            axes[key] = [override.partition("=")[2] for override in overrides]
    for key, values in axes.items():
        for value in values:
            try:
                parsed[key, value] = lookup(overridden([f"{key}={value}"]), key)
            except InputError as error:
                problems.append(str(error))
    refuse(problems)
    return axes, parsed


def refuse(problems: list[str]) -> None:
    """Refuse everything that is wrong at once, each in a line.

    Raises:
        InputError: there is something.
    """
    if problems:
        raise InputError("\n".join(f"sweep: {problem}" for problem in dict.fromkeys(problems)))


def check_combinations(
    axes: Axes, parsed: dict[tuple[str, str], Any], settings: Settings
) -> dict[tuple[str, ...], params.Params]:
    """Return the parameters of each combination of values.

    Args:
        axes: see there.
        parsed: each value of each parameter.
        settings: the content of params.yaml.

    Raises:
        InputError: some do not go together; each is named.
    """
    checked = {}
    problems = []
    for combination in product(*axes.values()):
        pairs = list(zip(axes, combination, strict=True))
        changed = deepcopy(settings)
        for key, value in pairs:
            section, name = key.split(".")
            changed[section][name] = parsed[key, value]
        where = " ".join(f"{key}={value}" for key, value in pairs)
        try:
            checked[combination] = params.validate(changed, Path(where))
        except InputError as error:
            problems.append(str(error))
    refuse(problems)
    return checked


def short_keys(axes: Axes) -> dict[str, str]:
    """Return what a parameter is called in names: its last part, or all of it if two share that.

    >>> short_keys({"mlp.lr": [], "bigram_neural.lr": [], "mlp.hidden": []})
    {'mlp.lr': 'mlp.lr', 'bigram_neural.lr': 'bigram_neural.lr', 'mlp.hidden': 'hidden'}
    """
    last = {key: key.rpartition(".")[2] for key in axes}
    count = Counter(last.values())
    return {key: key if count[name] > 1 else name for key, name in last.items()}


def choose_model(axes: Axes, chosen: str | None) -> str:
    """Return the model that the sweep is judged by.

    Raises:
        InputError: it is unknown, or the axes do not say which.
    """
    known = ", ".join(MODELS)
    if chosen is not None:
        if chosen not in MODELS:
            raise InputError(f"sweep: no model {chosen}; --model is one of {known}")
        return chosen
    swept = list(dict.fromkeys(key.partition(".")[0] for key in axes))
    models = [section for section in swept if section in MODELS]
    if len(models) != 1:
        found = ", ".join(models) or f"none in {', '.join(swept)}"
        raise InputError(
            f"sweep: the swept parameters must be those of one model (found: {found}); say with "
            f"--model which one is judged: {known}"
        )
    return models[0]


def choose_seed(model: str, settings: Settings, seed_param: str | None, axes: Axes) -> str:
    """Return the parameter that is the seed of a model; empty if it has none.

    Raises:
        InputError: it is no seed, or is swept, too.
    """
    if seed_param is None:
        if not depends_on_seed(model, settings):
            return ""
        models = [model, *settings.get(model, {}).get("components", [])]
        seeded = [one for one in models if "seed" in settings.get(one, {})]
        seed_param = f"{seeded[0] if seeded else model}.seed"
    section, _, name = seed_param.partition(".")
    if name != "seed" or section in REFUSED or lookup(settings, seed_param) is None:
        known = ", ".join(f"{one}.seed" for one in MODELS if "seed" in settings.get(one, {}))
        raise InputError(
            f"sweep: --seed-param {seed_param}: no seed of a model; these are: {known}"
        )
    if seed_param in axes:
        raise InputError(
            f"sweep: {seed_param} is a seed, not a setting; --seeds N runs every setting with the "
            "seeds 1 to N"
        )
    return seed_param


def plan(
    arguments: list[str],
    seeds: int | None = None,
    seed_param: str | None = None,
    model: str | None = None,
) -> Plan:
    """Return the experiments of a sweep.

    Args:
        arguments: PARAMETER=VALUES of each axis.
        seeds: run every setting with the seeds 1 to this; by default with that of params.yaml.
        seed_param: the seed to set, by default that of the model.
        model: the one that is judged, by default the one whose parameters are swept.

    Raises:
        InputError: something is wrong with them; every wrong value is named.
    """
    unchanged = params.load(PARAMS)
    settings: Settings = parse_yaml(read_bytes(PARAMS))
    axes, parsed = parse_axes(arguments)
    chosen = choose_model(axes, model)
    seed = choose_seed(chosen, settings, seed_param, axes)
    checked = check_combinations(axes, parsed, settings)
    short = short_keys(axes)
    found: list[Setting] = []
    for values in checked:
        pairs = list(zip(axes, values, strict=True))
        name = git_name("-".join(f"{short[key]}-{value}" for key, value in pairs))
        found.append(Setting(name, values, [f"{key}={value}" for key, value in pairs]))
    check_names(found, list(checked.values()))
    same = [one for one in found if checked[one.values] == unchanged]
    values = tuple(str(lookup(settings, key)) for key in axes)
    return Plan(
        axes=axes,
        model=chosen,
        seed_param=seed,
        seeds=list(range(1, seeds + 1)) if seeds and seed else [],
        settings=found,
        base=same[0] if same else Setting(BASE, values, []),
    )


def check_names(settings: list[Setting], values: list[params.Params]) -> None:
    """Refuse settings of one name or of the same parameters.

    Raises:
        InputError: there are some.
    """
    problems = [
        f"{' '.join(one.overrides)}: its name is longer than {MAX_NAME_LENGTH} characters"
        for one in settings
        if len(one.name) > MAX_NAME_LENGTH
    ]
    pairs = zip(settings, values, strict=True)
    for (one, one_values), (other, other_values) in combinations(pairs, 2):
        both = f"{' '.join(one.overrides)} and {' '.join(other.overrides)}"
        if one_values == other_values:
            problems.append(f"{both} are the same setting; give it once")
        # some file systems do not tell upper case from lower case
        elif one.name.casefold() == other.name.casefold():
            advice = "run one of them in another sweep"
            problems.append(f"{both} would both be the experiment {other.name}; {advice}")
    refuse(problems)
