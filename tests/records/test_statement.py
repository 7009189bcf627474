"""What records state, old and new; what is unknown is refused."""

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.statement import Statement, check_one_group

UNIFORM = {"noise": {"distribution": {"name": "uniform", "half_width": 0.5}}}


def test_published_tables_and_old_records_are_gaussian_l2():
    assert Statement.of({}) == Statement("l2", "probabilistic", None, "gaussian smoothing")
    old = {"sigma": 0.25, "alpha": 0.001, "noise": {"kind": "grid"}}
    assert Statement.of(old) == Statement("l2", "probabilistic", 0.001, "gaussian smoothing")


def test_the_norm_is_that_of_the_noise_where_nothing_else_is_said():
    assert Statement.of(UNIFORM) == Statement("l1", method="uniform smoothing")
    said = {**UNIFORM, "statement": {"norm": "linf", "method": "uniform smoothing"}}
    assert Statement.of(said).norm == "linf"


def test_a_statement_comes_back_from_its_record():
    for said in (
        Statement("l1", "probabilistic", 0.01, "laplace smoothing"),
        Statement("linf", "deterministic", None, "crown-ibp"),
        Statement("linf", "deterministic", None, "cascade", sound=False),
    ):
        assert Statement.of({"statement": said.record()}) == said


def test_a_restated_alpha_counts():
    said = Statement(alpha=0.01).record()
    assert Statement.of({"statement": said, "alpha": 0.001}).alpha == 0.001


def test_after_a_look_the_alpha_is_that_of_both_tests():
    header = {"alpha": 0.002, "alpha_spent": 0.003, "statement": Statement(alpha=0.002).record()}
    assert Statement.of(header).alpha == 0.003
    assert Statement.of({**header, "alpha_spent": None}).alpha == 0.002


def test_a_deterministic_record_has_no_alpha_and_says_its_norm():
    found = Statement.of({"norm": "linf", "kind": "deterministic", "alpha": 0.001})
    assert (found.alpha, found.method) == (None, "not recorded")
    with pytest.raises(RecordError, match="expected a deterministic record to state its norm"):
        Statement.of({"statement": {"kind": "deterministic"}})


@pytest.mark.parametrize(
    ("provenance", "reason"),
    [
        ({"norm": "l3"}, "expected norm among l1, l2, linf, other, got 'l3'"),
        ({"statement": {"norm": 2}}, "expected norm among l1, l2, linf, other, got 2"),
        ({"statement": {"kind": "empirical"}}, "expected kind among probabilistic, deterministic"),
        ({"statement": {"sound": "no"}}, "expected sound among True, False, got 'no'"),
        ({"statement": {"norm": "other", "unit": "l2"}}, "expected a unit that is no norm"),
        ({"statement": {"norm": "other", "unit": " "}}, "expected a unit in words"),
        ({"statement": {"norm": "l2", "unit": "degrees"}}, "expected a unit in words"),
        ({"statement": "l2"}, "expected a statement of norm, kind and method, got 'l2'"),
        ({"alpha": 0.0}, "expected a failure probability alpha"),
        ({"noise": {"distribution": {"name": "cauchy"}}}, "expected a noise among .*cauchy"),
        ({"sigma": "wide"}, "noise is not known here"),
    ],
)
def test_what_is_unknown_is_refused(provenance, reason):
    with pytest.raises(RecordError, match=reason):
        Statement.of(provenance)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2, float("nan"), True, "x", [0.1]])
def test_an_alpha_is_a_probability(alpha):
    assert Statement(alpha="0.001").alpha == 0.001  # a number as text, as in YAML
    for make in (lambda: Statement(alpha=alpha), lambda: Statement.of({"alpha": alpha})):
        with pytest.raises(RecordError):
            make()


@pytest.mark.parametrize("method", [None, 5, ["ibp"]])
def test_a_method_is_a_name(method):
    with pytest.raises(RecordError, match="expected the name of a method, got"):
        Statement("linf", "deterministic", method=method)


def test_in_words():
    assert str(Statement(alpha=0.001)) == "probabilistic (alpha 0.001)"
    assert str(Statement()) == "probabilistic (alpha not recorded)"
    assert str(Statement("linf", "deterministic", sound=False)) == "deterministic, not sound"


def test_groups_are_one_norm_and_one_kind():
    l2, other = Statement(alpha=0.1), Statement(method="laplace smoothing")
    check_one_group([l2, other, l2])
    with pytest.raises(RecordError, match=r'log 1 states l1 .* log 0 l2 .*in_norm\(log, "l2"'):
        check_one_group([l2, Statement("l1")])
    with pytest.raises(RecordError, match="log 2 is deterministic and log 0 probabilistic"):
        check_one_group([l2, l2, Statement("l2", "deterministic")])
