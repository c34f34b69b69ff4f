"""Every bad input that concerns a space: the class, the words, and that nothing was changed.

`row` is the row in the project's table of bad inputs, or "-" for one beyond it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.stats
import torch

import gpbo
from gpbo.errors import GpboError, GpboWarning, ObservationError, SpaceError
from gpbo.space import (
    Bool,
    Categorical,
    Choice,
    Distribution,
    Float,
    Int,
    Ordinal,
    Parameter,
    Space,
)

NAN, INF = math.nan, math.inf

# <where>: <what is wrong>[, got <value>][; expected <rule>][. <what to do>]
SHAPE = re.compile(r"^[^:\n]+: [^\n]+$")


class Bad(NamedTuple):
    row: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    error: type[Exception]
    match: str


def bad(
    row: str, call: Callable[..., Any], *arguments: Any, match: str, error: Any, **keywords: Any
) -> Any:
    case = Bad(row, call, arguments, keywords, error, match)
    return pytest.param(case, id=f"{row}-{call.__name__}-{match[:30]}")


def refused(
    row: str, call: Callable[..., Any], *arguments: Any, match: str, **keywords: Any
) -> Any:
    return bad(row, call, *arguments, match=match, error=SpaceError, **keywords)


def mistyped(row: str, call: Callable[..., Any], *arguments: Any, match: str, **kwargs: Any) -> Any:
    return bad(row, call, *arguments, match=match, error=TypeError, **kwargs)


BAD = [
    refused("1", Space, {}, match="space is empty; expected at least one parameter"),
    mistyped("2", Space, {3: Float(0, 1)}, match="Space: a name is not a str, got 3"),
    refused("2", Space, {"": Bool()}, match="Space: a name is empty, got ''"),
    refused("2", Space, {"  ": Bool()}, match="Space: a name is empty, got '  '"),
    refused("2", Space, {"lr": Bool(), " lr": Bool()}, match="the same: 'lr' and ' lr'"),
    refused("2", Space, {"ﬁt": Bool(), "fit": Bool()}, match="the same: 'ﬁt' and 'fit'"),
    refused("3", Space, {"a\0b": Bool()}, match=r"a name holds a NUL character, got 'a\\x00b'"),
    refused("3", Space, {"\ud800": Bool()}, match=r"not valid Unicode, got '\\ud800'"),
    refused("4", Float, 2, 1, match=r"^Float: low must be < high, got low=2 high=1; swap them\?$"),
    refused("4", Int, 9, -3, match="Int: low must be < high, got low=9 high=-3; swap them"),
    refused("5", Float, 1, 1, match=r"got low=1 high=1; use a constant: \{'name': 1\.0\}"),
    refused("5", Int, 1, 1, match=r"use a constant: \{'name': 1\}"),
    refused("6", Float, NAN, 1, match="Float low: bounds must be finite, got nan"),
    refused("6", Float, 0, INF, match="Float high: bounds must be finite, got inf"),
    refused("6", Int, 1, INF, match="Int high: bounds must be finite, got inf"),
    refused("6", Float, 0, 10**400, match="Float high: bounds must be finite, got 1000"),
    refused("7", Float, 0, 1, log=True, match="log needs low > 0, got low=0. Try low=1e-6, or"),
    refused("7", Float, 0, 1e-8, log=True, match="got low=0. Try low=1e-11, or drop log=True"),
    refused("7", Int, 0, 9, log=True, match="Int: log needs low > 0, got low=0. Try low=1, or"),
    refused("7", Int, -5, 1, log=True, match="got low=-5. Drop log=True"),
    refused("8", Float, -1e308, 1e308, match="range too wide for float64"),
    refused("9", Float, 1e-320, 1e-310, log=True, match="the range is subnormal, got 1e-310"),
    mistyped("10", Int, 0.5, 3.7, match="Int bounds must be whole numbers, got 0.5; expected an"),
    mistyped("10", Int, 1, 9, step=0.5, match="Int steps must be whole numbers, got 0.5"),
    refused("11", Int, 0, 2**63, match=r"beyond exact range, got 9\d+; expected -2\*\*53 \.\. 2"),
    refused("11", Int, -(2**53) - 1, 0, match="Int low: beyond exact range"),
    refused("12", Float, 0, 1, step=0, match="Float: step must be > 0, got 0.0"),
    refused("12", Int, 0, 9, step=-1, match="Int: step must be > 0, got -1"),
    refused("12", Float, 0, 1, step=NAN, match="Float step: steps must be finite, got nan"),
    refused("12", Float, 0, 1, step=2, match="larger than the range.*nearest valid high is 2$"),
    refused("12", Float, 0, 1, step=0.3, match="nearest valid high is 0.9, the next 1.2$"),
    refused("12", Float, 0, 1.1, step=0.3, match="nearest valid high is 1.2, the next 0.9$"),
    refused("12", Int, 0, 10, step=3, match="got step=3 for 0 .. 10; the nearest valid high is 9"),
    refused("12", Float, 0, 1, step=1e-17, match="step is too small for float64"),
    refused("12", Float, 1e16, 1e16 + 64, step=1, match="step is too small for float64"),
    refused("13", Float, 0.1, 1, log=True, step=0.1, match="step does not go with log, got 0.1"),
    refused("13", Int, 1, 9, log=True, step=2, match="step does not go with log, got 2"),
    refused("14", Categorical, [], match=r"no choices, got \[\]; expected at least one"),
    mistyped("14", Categorical, "abc", match=r"one string, got 'abc'.*Did you mean \['abc'\]\?"),
    mistyped("14", Ordinal, 5, match="Ordinal: not a list, got 5; expected a list of choices"),
    mistyped("14", Categorical, {"b", "a"}, match="a set, got .*Its order changes"),
    mistyped("14", Categorical, {"a": 1}, match="not a list, got .* use gpbo.Choice"),
    refused("15", Categorical, ["a", "b", "a"], match=r"choices are equal, got \[\['a', 'a'\]\]"),
    refused("15", Ordinal, [1, True, 1.0, 2], match=r"got \[\[1, True, 1\.0\]\]. Keep one"),
    refused("15", Space, {"x": [0, 5, False]}, match=r"'x': Categorical: .* got \[\[0, False\]\]"),
    refused(
        "16", Categorical, [(64, 64)], match=r"JSON scalars only, got \(64, 64\); expected str"
    ),
    refused("16", Categorical, [{"a": 1}], match="JSON scalars only.*Use names and map in your co"),
    refused("16", Categorical, [object()], match="JSON scalars only, got <object object"),
    refused("16", Categorical, [b"a"], match="JSON scalars only, got b'a'"),
    refused("16", Categorical, [1j], match="JSON scalars only, got 1j"),
    refused("16", Space, {"hidden": [[64], [9]]}, match="'hidden': Categorical: JSON scalars only"),
    refused("17", Categorical, ["a", NAN], match="not finite, got nan. JSON has no nan"),
    refused("17", Space, {"x": NAN}, match="'x': not finite, got nan"),
    mistyped("19", Int, True, 3, match="Int low: not a number, got True; expected an int"),
    mistyped("19", Float, 0, True, match="Float high: not a number, got True; expected a float"),
    mistyped("20", Float, 0, np.ones(2), match="Float high: not a number, got array"),
    mistyped("20", Float, 0, None, match="Float high: not a number, got None; expected a float"),
    mistyped("20", Float, "1e-5", 1, match="got '1e-5'; .* write 1e-05, without quotes"),
    refused(
        "21",
        Space,
        {"opt": Choice({"a": {"opt": Bool()}})},
        match="'opt=a/opt' collides with 'opt'",
    ),
    refused(
        "21",
        Space,
        {"a": Choice({"x": {"lr": Bool()}}), "b": Choice({"y": {"lr": Bool()}})},
        match="'b=y/lr' collides with 'a=x/lr'; rename",
    ),
    refused(
        "22",
        Float,
        math.log(1e-5),
        math.log(1e-1),
        log=True,
        match=r"of e, as in hyperopt, write gpbo\.Float\(1e-05, 0\.1, log=True\); of 10, gpbo",
    ),
    refused("22", Float, -5, -1, log=True, match=r"of 10, gpbo\.Float\(1e-05, 0\.1, log=True\)"),
    refused(
        "23",
        gpbo.Grid(n=30).check,
        Space({f"x{k}": Float(0, 1) for k in range(6)}),
        match=r"grid has 7\.3e8 points; expected at most 10\*\*7\. .*n=, or use 'sobol'",
    ),
    mistyped("26", Float, 1e-5, hihg=1, match="Float: unknown argument 'hihg'. Did you mean 'hig"),
    mistyped("26", Float, 0, 1, prior="log", match="'prior'. Known: low, high, log, s"),
    mistyped("26", Categorical, choises=["a"], match="'choises'. Did you mean 'choices'"),
    mistyped("26", Space, lr=Float(0, 1), match="Space: unknown argument 'lr'"),
    mistyped(
        "-", Float, "lr", 1e-5, 1, match=r"got \('lr', 1e-05, 1\); expected Float\(low, high, "
    ),
    mistyped("-", Float, "lr", 1, match="got 'lr'.*name goes into the dict"),
    mistyped("-", Float, 0, 1, 0.1, match="too many positional arguments.*log=False, step=None"),
    mistyped("-", Float, 0, match="missing a required argument: 'high'"),
    mistyped("-", Categorical, "relu", "tanh", match=r"expected Categorical\(choices\)"),
    mistyped(
        "-", Float, 0, 1, log="yes", match="Float log: not a bool, got 'yes'; expected True or"
    ),
    mistyped("-", Space, {"lr": (0, 1)}, match="'lr': a tuple is ambiguous, got .*gpbo.Float"),
    mistyped("-", Space, {"lr": {"min": 0}}, match="'lr': a dict is no parameter.*gpbo.Choice"),
    mistyped("-", Space, {"lr": {"type": "int"}}, match="a dict is no parameter.*from_json"),
    mistyped("-", Space, {"lr": Float}, match=r"'lr': Float is a class; did you mean Float\("),
    mistyped("-", Space, {"lr": bool}, match="'lr': an object of type builtins.type is no param"),
    mistyped("-", Space, {"lr": abs}, match="'lr': an object of type .*function.* no parameter"),
    mistyped("-", Space, {"lr": {1.0, 2.0, 3.0}}, match="'lr': .*a set, got"),
    mistyped("-", Space, {"lr": np.zeros((2, 2))}, match="'lr': an object of type numpy.ndarray"),
    mistyped("-", Space, {"lr": scipy.stats.norm}, match="'lr': Distribution: not a frozen"),
    mistyped("-", Space, {"x": torch.distributions.Normal(0.0, 1.0)}, match="'x': .*not a frozen"),
    mistyped(
        "-", Space, [{"a": [1]}, {"b": [2]}], match="not a dict of parameters.*A list of grid"
    ),
    refused("-", Space, {"epochs": 10}, match="every entry is a constant"),
    mistyped("-", Choice, ["sgd", "adam"], match="not a dict of branches.* use gpbo.Categorical"),
    mistyped("-", Choice, {"sgd": Float(0, 1)}, match="branch 'sgd': not a space.*Give it a name"),
    mistyped("-", Choice, {"sgd": [1, 2]}, match="branch 'sgd': not a space, got .*a dict or None"),
    refused("-", Choice, {}, match=r"Choice: no choices, got \[\]"),
    refused("-", Choice, {(1, 2): None}, match="Choice: JSON scalars only"),
    refused("-", Distribution, scipy.stats.norm(0, -1), match="no proper range"),
]


@pytest.mark.parametrize("case", BAD)
def test_a_space_that_makes_no_sense_is_refused_in_the_users_words(case: Bad) -> None:
    before = repr((case.arguments, case.keywords))
    with pytest.raises(case.error, match=case.match) as caught:
        case.call(*case.arguments, **case.keywords)
    assert type(caught.value) is case.error
    assert SHAPE.match(str(caught.value))
    assert caught.value.__cause__ is None  # the user's own line, not a chain of ours
    assert repr((case.arguments, case.keywords)) == before


SPACE = Space(
    {
        "lr": Float(1e-5, 1e-1, log=True),
        "dropout": Float(0, 0.5, step=0.05),
        "layers": Int(1, 9, step=2),
        "act": ["relu", "tanh"],
        "nesterov": Bool(),
        "opt": Choice({"sgd": {"momentum": Float(0, 0.99)}, "adam": {"beta1": Float(0.8, 0.999)}}),
        "trees": scipy.stats.randint(1, 40),
        "epochs": 10,
    }
)
GOOD = SPACE.sample(np.random.default_rng(0)) | {"opt": "sgd", "momentum": 0.5}
GOOD.pop("beta1", None)

WRONG = [
    (
        "51",
        {"lr": 5.0},
        r"'lr': out of bounds, got 5\.0; expected 1e-05 \.\. 0\.1\. Or pass clip=Tr",
    ),
    ("51", {"layers": 11}, r"'layers': out of bounds, got 11; expected 1 \.\. 9"),
    ("51", {"layers": 10**400}, "'layers': does not fit float64, got 1000"),
    ("51", {"trees": 40}, "'trees': out of bounds, got 40; expected"),
    ("51", {"lr": NAN}, "'lr': not finite, got nan"),
    ("51", {"lr": "0.01"}, "'lr': not a number, got '0.01'; expected a number"),
    ("51", {"lr": np.ones(2)}, r"'lr': not a number, got array\(\[1\., 1\.\]\)"),
    ("51", {"layers": True}, "'layers': not a number, got True"),
    ("51", {"layers": 2.5}, r"'layers': not a whole number, got 2\.5"),
    ("51", {"layers": 4}, "'layers': not on a step of 2, got 4; the nearest is 5"),
    ("51", {"dropout": 0.12}, r"'dropout': not on a step of 0\.05, got 0\.12; the nearest is 0\.1"),
    (
        "51",
        {"act": "relu6"},
        r"'act': not one of the choices, got 'relu6'; .*Did you mean 'relu'\?",
    ),
    ("51", {"act": 0}, r"'act': not one of the choices, got 0; expected one of \['relu', 'tanh'\]"),
    ("51", {"nesterov": 1}, "'nesterov': not a bool, got 1; expected True or False"),
    ("51", {"opt": "adamw"}, "'opt': not one of the choices, got 'adamw'.*Did you mean 'adam'"),
    ("51", {"epochs": 11}, "'epochs': a constant, got 11; expected 10"),
    ("52", {"dropuot": 0.1}, r"params: unknown name 'dropuot'. Did you mean 'dropout'\?"),
    ("52", {"LR": 0.1}, r"params: unknown name 'LR'. Did you mean 'lr'\?"),
    ("52", {3: 0.1}, r"params: unknown name 3. Known: \['lr', 'dropout'"),
    ("52", {"beta1": 0.9}, "params: 'beta1' exists only where opt=adam. Leave it out."),
]


@pytest.mark.parametrize("fill", [False, True], ids=["complete", "filled"])
@pytest.mark.parametrize(("row", "change", "match"), WRONG)
def test_params_that_do_not_fit_are_refused(
    row: str, change: dict[Any, Any], match: str, fill: bool
) -> None:
    params: dict[Any, Any] = {**GOOD, **change}
    before = repr(params)
    rng = np.random.default_rng(0) if fill else None
    with pytest.raises(ObservationError, match=match) as caught:
        SPACE.check(params, fill=rng)
    assert SHAPE.match(str(caught.value))
    assert repr(params) == before
    assert not SPACE.contains(params)


def test_row_53_a_missing_name_is_sampled_or_named() -> None:
    part = {name: value for name, value in GOOD.items() if name != "dropout"}
    filled = SPACE.check(part, fill=np.random.default_rng(0))
    assert filled == {**GOOD, "dropout": filled["dropout"]}
    with pytest.raises(
        ObservationError, match=r"params: 'dropout' is missing, got .*; expected all"
    ):
        SPACE.check(part)
    assert "dropout" not in part


def test_a_typo_is_reported_before_what_is_missing_because_of_it() -> None:
    params = {("lrr" if name == "lr" else name): value for name, value in GOOD.items()}
    with pytest.raises(ObservationError, match=r"unknown name 'lrr'. Did you mean 'lr'"):
        SPACE.check(params)


@pytest.mark.parametrize("params", [None, 5, [("lr", 1)], "lr"])
def test_params_that_are_no_dict_are_a_type_error(params: Any) -> None:
    with pytest.raises(TypeError, match=r"params: not a dict, got .*; expected a dict of values"):
        SPACE.check(params)


@pytest.mark.parametrize(
    "bound", [np.float32(2), np.float64(2), np.int64(2), np.array(2), torch.tensor(2), 2, 2.0]
)
def test_row_20_scalars_of_numpy_and_torch_are_bounds(bound: Any) -> None:
    for parameter in (
        Float(1, bound),
        Float(0, 4, step=bound),
        Int(1, bound),
        Int(0, 4, step=bound),
    ):
        values = [getattr(parameter, name) for name in ("low", "high", "step")]
        kinds = {type(value) for value in values if value is not None}
        assert kinds == {float if isinstance(parameter, Float) else int}
        assert type(parameter.log) is bool


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(1e-320, 1, log=True), "subnormal"),
        (lambda: Categorical(range(10_001)), "10001 choices"),
        (lambda: Space({f"x{k}": Bool() for k in range(1001)}), "1001 parameters"),
    ],
)
def test_rows_9_and_18_are_taken_with_one_warning(
    make: Callable[[], Parameter | Space], words: str
) -> None:
    with pytest.warns(GpboWarning, match=words) as caught:
        made = make()
    assert len(caught) == 1
    assert isinstance(made, (Parameter, Space))


def test_every_error_of_a_space_can_be_caught_as_a_gpbo_error_or_a_value_error() -> None:
    assert issubclass(SpaceError, GpboError)
    assert issubclass(SpaceError, ValueError)
    assert issubclass(ObservationError, ValueError)
