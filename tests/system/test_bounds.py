"""Bounds on random networks: nothing certified is broken, and what must hold between bounds does.

Some networks are tried in each run of the tests; RSMOOTH_RANDOM_NETS=1000 says how many.
"""

import itertools
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsmooth.attacks.pgd import PGD
from rsmooth.bounds import METHODS, Prover, interval_bounds, margin_bounds, smallest_margin
from rsmooth.bounds.interval import pixel_box
from rsmooth.bounds.tracing import trace_network
from rsmooth.smoothed import SmoothedClassifier
from tests.bounds.random_nets import CLASSES, SHAPE, random_net

COUNT = int(os.environ.get("RSMOOTH_RANDOM_NETS", "25"))
EPSILONS = (0.003, 0.01, 0.03, 0.1, 0.3)
RESTARTS, CORNERS = 20, 200
some_nets = settings(max_examples=COUNT, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**31 - 1)


def image(seed):
    return torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(seed)).double()


@given(seeds)
@some_nets
def test_nothing_certified_is_broken(seed):
    """By PGD with 20 restarts, and by 200 random corners of the box, at the largest epsilon."""
    net, x = random_net(seed), image(seed)
    prover = Prover(net)
    y = prover.predict(x)
    proved = [
        epsilon
        for epsilon, method in itertools.product(EPSILONS, METHODS)
        if smallest_margin(prover.margins(x, y, epsilon, method), y) > 0
    ]
    if not proved:
        return
    g = SmoothedClassifier(net, sigma=0, num_classes=CLASSES)
    epsilon = max(proved)
    generator = torch.Generator().manual_seed(seed)
    attack = PGD(epsilon=epsilon, steps=10, norm="linf", random_start=True)
    copies = x.expand(RESTARTS, *SHAPE)
    # Of a random network some images have no gradient; the corners are tried there.
    near = attack.measured(g, copies, y.expand(RESTARTS), generator=generator).x_adv
    signs = torch.randint(0, 2, (CORNERS, *SHAPE), generator=generator) * 2 - 1
    points = torch.cat([near, (x + epsilon * signs).clamp(0, 1)])
    assert (net(points).argmax(dim=1) == y).all()


def test_the_random_networks_are_certified_at_some_epsilon():
    """Else the test above would say nothing."""
    certified = 0
    for seed in range(20):
        prover, x = Prover(random_net(seed)), image(seed)
        y = prover.predict(x)
        certified += bool(smallest_margin(prover.margins(x, y, 0.01, "fast-lin"), y) > 0)
    assert certified >= 10


@given(seeds, st.sampled_from(METHODS))
@some_nets
def test_epsilon_0_gives_the_clean_margins(seed, method):
    net, x = random_net(seed), image(seed)
    logits = net(x)
    y = logits.argmax(dim=1)
    clean = logits.gather(1, y[:, None]) - logits
    found = margin_bounds(net, x, y, epsilon=0.0, method=method)
    torch.testing.assert_close(found, clean, rtol=1e-10, atol=1e-10)


@given(seeds)
@some_nets
def test_margins_fall_with_epsilon(seed):
    """Of intervals, whose boxes are nested, it is a theorem; so it is for their every node."""
    net, x = random_net(seed), image(seed)
    graph = trace_network(net).fixed()
    before = None
    for epsilon in EPSILONS:
        found = interval_bounds(graph, pixel_box(x, epsilon))
        for inner, outer in zip(before or found, found, strict=True):
            assert (outer.lower <= inner.lower + 1e-12).all()
            assert (outer.upper >= inner.upper - 1e-12).all()
        before = found
    y = net(x).argmax(dim=1)
    margins = [margin_bounds(net, x, y, epsilon=e, method="ibp") for e in EPSILONS]
    assert all((b <= a + 1e-12).all() for a, b in itertools.pairwise(margins))


@given(seeds, st.sampled_from(METHODS))
@some_nets
def test_proved_margins_are_below_plain_ones(seed, method):
    net, x = random_net(seed), image(seed)
    y = net(x).argmax(dim=1)
    proved = Prover(net).margins(x, y, 0.03, method)
    plain = margin_bounds(net, x, y, epsilon=0.03, method=method, intersect=True)
    assert (proved <= plain).all()
    torch.testing.assert_close(proved, plain, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", ["crown-ibp", "crown", "fast-lin"])
def test_linear_margins_fall_with_epsilon_on_most_networks(method):
    """It is no theorem of theirs, since slopes jump; falls are counted over steps of epsilon."""
    falls = []
    for seed in range(10):
        net, x = random_net(seed), image(seed)
        y = net(x).argmax(dim=1)
        found = [margin_bounds(net, x, y, epsilon=e, method=method) for e in EPSILONS]
        falls += [bool((b <= a + 1e-9).all()) for a, b in itertools.pairwise(found)]
    assert sum(falls) >= 0.95 * len(falls)
