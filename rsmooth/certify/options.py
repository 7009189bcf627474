"""Calls whose options are the fields of a dataclass, so that each option is written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import update_wrapper
from inspect import Parameter
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from rsmooth.certify.settings import in_new_words
from rsmooth.plumbing.names import check_keywords

P = ParamSpec("P")
Model = TypeVar("Model")
Images = TypeVar("Images")
Options = TypeVar("Options")
Result = TypeVar("Result")


def options_of(
    kind: Callable[P, Options],
) -> Callable[
    [Callable[[Model, Images, Options], Result]], Callable[Concatenate[Model, Images, P], Result]
]:
    """A decorator: the fields of a keyword-only dataclass become the options of a call.

        @options_of(PredictSettings)
        def predict(g, x, options): ...

        predict(g, x, n=100)        # the function gets PredictSettings(n=100)

    The signature of the call shows every field with its type and default. Type checkers know them
    too. TypeError, with the close names, for an option that is no field, and for one without a
    name.
    """

    def decorate(
        function: Callable[[Model, Images, Options], Result],
    ) -> Callable[Concatenate[Model, Images, P], Result]:
        def call(g: Model, x: Images, *args: P.args, **kwargs: P.kwargs) -> Result:
            in_new_words(kwargs)
            _check_named(args, kind, function.__name__)
            check_keywords(kind, kwargs, function.__name__)
            return function(g, x, kind(*args, **kwargs))

        signature = _signature(function, kind)
        made: Any = update_wrapper(call, function)  # g and x may be given by name too
        made.__signature__ = signature
        made.__annotations__ = {
            **{name: parameter.annotation for name, parameter in signature.parameters.items()},
            "return": signature.return_annotation,
        }
        return made  # type: ignore[no-any-return]

    return decorate


def _check_named(args: tuple[object, ...], kind: Any, owner: str) -> None:
    """TypeError for options without their names."""
    if args:
        first = fields(kind)[0]
        raise TypeError(
            f"expected the options of {owner} by name, got {len(args)} positional "
            f"{'one' if len(args) == 1 else 'ones'} ({args[0]!r}); write e.g. "
            f"{first.name}={first.default!r}"
        )


def _signature(function: Callable[..., Any], kind: Any) -> inspect.Signature:
    """The signature of the function, with the dataclass' fields in place of its last argument."""
    hints, types = get_type_hints(function), get_type_hints(kind)
    first, second, _ = inspect.signature(function).parameters.values()
    options = [
        Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
        )
        for field in fields(kind)
    ]
    given = [each.replace(annotation=hints[each.name]) for each in (first, second)]
    return inspect.Signature([*given, *options], return_annotation=hints["return"])
