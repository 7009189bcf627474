"""The options of deterministic certificates, and what is refused."""

import pytest

from rsmooth.certify.bound_settings import BoundSettings


def test_epsilons_are_sorted_and_distinct():
    settings = BoundSettings(epsilons=[0.2, 0.1, 0.2], bounds=["ibp", "fast-lin"])
    assert settings.epsilons == (0.1, 0.2)
    assert settings.record() == {"epsilons": [0.1, 0.2], "clip": [0.0, 1.0]}
    assert BoundSettings(epsilons=[0.1], clip=False).record()["clip"] is None


@pytest.mark.parametrize(
    "epsilons",
    [[], [0.0], [-0.1], [0.1, float("nan")], [float("inf")], [True], 0.1, None, "12", ["2/255"]],
)
def test_an_epsilon_is_above_0(epsilons):
    with pytest.raises(ValueError, match="at least one epsilon, each finite and > 0"):
        BoundSettings(epsilons=epsilons)


@pytest.mark.parametrize("bounds", [[], ["ibp", "ibp"], ["crown_ibp"]])
def test_bounds_are_known_methods(bounds):
    with pytest.raises(ValueError, match="bounds among ibp, crown-ibp, crown, fast-lin"):
        BoundSettings(epsilons=[0.1], bounds=bounds)
