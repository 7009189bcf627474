"""What foreign code does to the process is undone, also after an error."""

import logging
import random
import sys
import threading

import numpy as np
import pytest
import torch

from rsmooth.attacks.foreign.isolation import drawing_from, isolated, reseed

CPU = torch.device("cpu")


def numbers():
    return float(torch.rand(())), float(np.random.rand()), random.random()  # noqa: NPY002


def test_random_states_are_what_they_were_and_are_set_within():
    reseed(1)
    expected = numbers()
    reseed(1)
    with isolated(CPU):
        reseed(9)
        within = numbers()
    assert numbers() == expected
    reseed(9)
    assert numbers() == within


def test_generators_made_without_a_seed_follow_the_seed_within():
    """Three attacks of ART make a RandomState in each call, which numpy seeds from the system."""

    def drawn():
        with isolated(CPU):
            reseed(3)
            made = np.random.RandomState(), np.random.RandomState(), np.random.default_rng()
            assert isinstance(np.random.mtrand._rand, np.random.RandomState)
            return [float(one.uniform()) for one in made]

    makers = np.random.RandomState, np.random.default_rng
    assert drawn() == drawn()
    assert len(set(drawn())) == 3
    assert (np.random.RandomState, np.random.default_rng) == makers
    with isolated(CPU):
        given = np.random.RandomState(5).uniform(), np.random.default_rng(5).uniform()
    assert given == (np.random.RandomState(5).uniform(), np.random.default_rng(5).uniform())


@pytest.mark.parametrize("failing", [False, True])
def test_switches_are_put_back(failing):
    def switches():
        cudnn = torch.backends.cudnn
        return (
            *(torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()),
            *(cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
            *(torch.are_deterministic_algorithms_enabled(), np.geterr(), sys.gettrace()),
        )

    before = switches()

    def theirs():
        torch.set_default_dtype(torch.float16)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_grad_enabled(False)
        cudnn = torch.backends.cudnn
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = False, True, True
        torch.use_deterministic_algorithms(True, warn_only=True)
        np.seterr(all="raise")
        sys.settrace(lambda *_: None)
        if failing:
            raise RuntimeError("theirs")

    if failing:
        with pytest.raises(RuntimeError, match="theirs"), isolated(CPU):
            theirs()
    else:
        with isolated(CPU):
            theirs()
    assert switches() == before


def test_gradients_are_on_within():
    with torch.no_grad(), isolated(CPU):
        assert torch.is_grad_enabled()


def test_a_second_thread_waits_so_that_each_puts_back_what_was_there_before():
    entered = threading.Event()

    def theirs():
        with isolated(CPU):
            entered.set()

    makers = np.random.RandomState, np.random.default_rng
    other = threading.Thread(target=theirs)
    with isolated(CPU), isolated(CPU):  # one thread may well be in two
        other.start()
        assert not entered.wait(0.05)
    other.join()
    assert entered.is_set()
    assert (np.random.RandomState, np.random.default_rng) == makers


def test_a_handler_that_foreign_code_gives_the_root_logger_is_taken_away(monkeypatch):
    own = logging.NullHandler()
    for handlers in ([], [own]):
        monkeypatch.setattr(logging.root, "handlers", list(handlers))
        with isolated(CPU):
            logging.info("prints nothing")
            logging.root.addHandler(logging.StreamHandler())
        assert logging.root.handlers == handlers


def test_a_generator_decides_what_others_draw_and_their_states_stay():
    def drawn(generator):
        with drawing_from(generator, CPU):
            return numbers()

    before = torch.get_rng_state()
    one, again, other = (drawn(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one == again
    assert all(first != second for first, second in zip(one, other, strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    generator = torch.Generator().manual_seed(1)
    assert drawn(generator) != drawn(generator)
    torch.manual_seed(5)
    expected = torch.rand(()).item()
    torch.manual_seed(5)
    assert drawn(None)[0] == expected
