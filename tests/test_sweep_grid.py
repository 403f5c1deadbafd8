"""tools.sweep.grid: axes, what is refused, names."""

import subprocess

import pytest
import yaml

from charlm.core.errors import InputError
from charlm.models.registry import MODELS
from tests.conftest import ROOT
from tools.experiments import git_name
from tools.sweep import grid


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)


def refusal(*arguments: str, **options: object) -> list[str]:
    with pytest.raises(InputError) as refused:
        grid.plan(list(arguments), **options)
    return str(refused.value).splitlines()


def test_every_combination_with_every_seed_and_the_base():
    found = grid.plan(["mlp.hidden=100,300", "contexts.block_size=range(3,5)"], seeds=2)
    assert (found.model, found.seed_param, found.seeds) == ("mlp", "mlp.seed", [1, 2])
    assert found.base == grid.Setting("base", ("200", "3"), [])
    experiments = found.all_experiments()
    assert list(experiments)[:3] == ["base-seed-1", "base-seed-2", "hidden-100-block_size-3-seed-1"]
    assert len(experiments) == 2 * (1 + 4)
    assert experiments["base-seed-2"] == ["mlp.seed=2"]
    assert experiments["hidden-300-block_size-4-seed-2"] == [
        "mlp.hidden=300",
        "contexts.block_size=4",
        "mlp.seed=2",
    ]
    for name in experiments:
        subprocess.run(["git", "check-ref-format", f"refs/exps/{name}"], check=True)


def test_setting_that_params_yaml_has_is_the_base():
    found = grid.plan(["mlp.hidden=100,200"])
    assert found.base is found.settings[1]
    assert found.all_experiments() == {
        "hidden-200": ["mlp.hidden=200"],
        "hidden-100": ["mlp.hidden=100"],
    }


def test_model_without_a_seed_is_run_once():
    found = grid.plan(["bigram_count.smoothing=0.1,10"], seeds=5)
    assert (found.model, found.seed_param, found.seeds) == ("bigram_count", "", [])
    assert list(found.all_experiments()) == ["base", "smoothing-0.1", "smoothing-10"]


def test_seed_of_a_mixture_is_that_of_its_mlp_unless_another_is_given():
    axes = ["contexts.block_size=4"]
    assert grid.plan(axes, 3, model="mixture").seed_param == "mlp.seed"
    chosen = grid.plan(axes, 3, seed_param="bigram_neural.seed", model="mixture")
    assert chosen.experiments(chosen.base)["base-seed-3"] == ["bigram_neural.seed=3"]


def test_seed_of_a_mixture_is_that_of_its_first_component_with_one():
    settings = {"mixture": {"components": ["ngram_count", "bigram_neural", "mlp"]}}
    settings |= {"ngram_count": {"order": 6}, "bigram_neural": {"seed": 1}, "mlp": {"seed": 1}}
    assert grid.choose_seed("mixture", settings, None, {}) == "bigram_neural.seed"
    counting = settings | {"mixture": {"components": ["ngram_count"]}}
    assert grid.choose_seed("mixture", counting, None, {}) == ""


def test_parameters_of_one_last_part_have_whole_names():
    found = grid.plan(["mlp.lr=0.1", "bigram_neural.lr=3"], model="mlp")
    assert found.settings[0].name == "mlp.lr-0.1-bigram_neural.lr-3"


@pytest.mark.parametrize(
    ("text", "name"), [("a.lock-", "a"), ("-a.lock'.'", "a"), ("a-.lock", "a-"), ("..a...b", "a.b")]
)
def test_name_ends_in_nothing_that_git_refuses(text: str, name: str):
    assert grid.git_name(text) == name
    subprocess.run(["git", "check-ref-format", f"refs/exps/{name}"], check=True)


def test_everything_that_is_wrong_is_named_at_once():
    names = "changes which names are held out, and losses are compared name by name"
    wrong = [
        "fetch.url=a",
        "split.seed=1,2",
        "evaluate.splits=[dev],[test]",
        "sample.count=3,4",
        "mlp.hidden",
        "mlp.hiden=3",
        "mlp.lr=1,-1,x",
        "contexts.block_size=99",
    ]
    assert refusal(*wrong) == [
        f"sweep: fetch.url=a: fetch.url cannot be swept: {names}",
        f"sweep: split.seed=1,2: split.seed cannot be swept: {names}",
        f"sweep: evaluate.splits=[dev],[test]: evaluate.splits cannot be swept: {names}",
        "sweep: sample.count=3,4: sample.count cannot be swept: no loss of a model depends on it",
        "sweep: mlp.hidden: must be PARAMETER=VALUES, such as mlp.hidden=100,200",
        "sweep: mlp.hiden=3: Could not override 'mlp.hiden'.",
        "sweep: mlp.lr=-1: mlp.lr: Input should be greater than 0; found -1",
        "sweep: mlp.lr=x: mlp.lr: Input should be a valid number; found 'x'",
        (
            "sweep: contexts.block_size=99: contexts.block_size: Input should be less than or "
            "equal to 64; found 99"
        ),
    ]


def test_values_that_do_not_go_together_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch):
    axes = ["find_learning_rate.lowest=-2,1", "find_learning_rate.highest=0,2"]
    monkeypatch.setattr(grid, "REFUSED", {})
    assert refusal(*axes, model="mlp") == [
        (
            "sweep: find_learning_rate.lowest=1: find_learning_rate: lowest must be below highest; "
            "found 1.0, 0.0"
        )
    ]
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["find_learning_rate"]["highest"] = 3
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    assert refusal(*axes, model="mlp") == [
        (
            "sweep: find_learning_rate.lowest=1 find_learning_rate.highest=0: find_learning_rate: "
            "lowest must be below highest; found 1.0, 0.0"
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["mlp.hidden=100,1e2"],
            "mlp.hidden=100 and mlp.hidden=100.0 are the same setting; give it once",
        ),
        (["mlp.lr=1", "mlp.lr=2"], "mlp.lr=2: mlp.lr occurs twice; give all values at once"),
        (
            ["mlp.seed=1,2"],
            "mlp.seed is a seed, not a setting; --seeds N runs every setting with the seeds 1 to N",
        ),
        (
            ["contexts.block_size=3,4"],
            (
                "the swept parameters must be those of one model (found: none in contexts); say "
                f"with --model which one is judged: {', '.join(MODELS)}"
            ),
        ),
        (
            ["mlp.lr=1", "bigram_neural.steps=3"],
            (
                "the swept parameters must be those of one model (found: mlp, bigram_neural); say "
                f"with --model which one is judged: {', '.join(MODELS)}"
            ),
        ),
        (["mlp.hidden=glob(*)"], "mlp.hidden=glob(*): Glob override 'mlp.hidden=glob(*)' is not"),
    ],
)
def test_ambiguous_sweep_is_refused(arguments: list[str], message: str):
    (line,) = refusal(*arguments)
    assert line.startswith(f"sweep: {message}")


@pytest.mark.parametrize("seed_param", ["mlp.hidden", "split.seed", "gpt.seed", "seed"])
def test_seed_param_must_be_the_seed_of_a_model(seed_param: str):
    (line,) = refusal("mlp.lr=1", seeds=2, seed_param=seed_param)
    assert line == (
        f"sweep: --seed-param {seed_param}: no seed of a model; these are: bigram_neural.seed, "
        "mlp.seed"
    )


def test_unknown_model_is_refused():
    (line,) = refusal("mlp.lr=1", model="gpt")
    assert line.startswith(f"sweep: no model gpt; --model is one of {', '.join(MODELS)}")


def test_two_settings_of_one_name_are_refused():
    settings = [grid.Setting("a-1", ("x",), ["a=x"]), grid.Setting("A-1", ("X",), ["a=X"])]
    with pytest.raises(InputError) as refused:
        grid.check_names(settings, ["one", "other"])
    assert str(refused.value) == (
        "sweep: a=x and a=X would both be the experiment A-1; run one of them in another sweep"
    )


@pytest.mark.parametrize(
    "text", ["a-[1,2]-b", "x..y", "-a.lock", "init-'a b'", "a@{b", "a~^:?*\\b", "lr-2e-1", "é"]
)
def test_names_are_those_that_git_takes(text: str):
    subprocess.run(["git", "check-ref-format", f"refs/exps/a{git_name(text)}"], check=True)
