"""``rsmooth selftest``: is the noise of this machine and device what certificates assume?"""

from __future__ import annotations

from rsmooth.cli.verbs import VERBS
from rsmooth.config.specs import Spec


@VERBS.register("selftest")
def selftest(
    sigma: float | None = None,
    noise: Spec | None = None,
    seed: int = 0,
    device: str = "auto",
    compiled: bool = False,
    details: bool = False,
) -> None:
    """Test the noise of a seed on this machine, and end with status 2 if it is not sound.

    Known answers of the generator, equal bits of all implementations, and the law of a million
    values: cells, moments, and independence of places, samples, images, purposes and seeds. Sound
    noise fails with probability below 1e-10 per distribution.

    Args:
        sigma: standard deviation of Gaussian noise to test; default: Gaussian noise of 0.25,
            uniform noise of 0.5 and Laplace noise of 0.2
        noise: other noise to test, e.g. uniform with --noise.half_width 0.5
        seed: the seed of the runs in question
        device: cpu, cuda, or auto
        compiled: test the compiled kernels too, which takes some seconds
        details: print every test
    """
    from rsmooth.config.parts import build_noise
    from rsmooth.noise.distributions import Gaussian, Laplace, NoiseDistribution, Uniform
    from rsmooth.noise.selftest import self_test
    from rsmooth.plumbing.parallel import pick_device

    place = pick_device(device)
    chosen: list[NoiseDistribution] = [Gaussian(0.25), Uniform(0.5), Laplace(0.2)]
    if sigma is not None or noise is not None:
        chosen = [build_noise(sigma, noise)]
    failed = 0
    for each in chosen:
        checks = self_test(each, seed=seed, device=place, compiled=compiled)
        wrong = [check for check in checks if not check.passed]
        failed += len(wrong)
        least = min(check.p_value for check in checks)
        verdict = f"{len(wrong)} FAILED" if wrong else f"passed, smallest p-value {least:.2g}"
        print(f"{each} on {place}, seed {seed}: {len(checks)} tests, {verdict}")
        for check in checks if details else wrong:
            print(f"  {check.name}: {check.seen}, p = {check.p_value:.2g}")
    if failed:
        raise ValueError(
            f"expected noise as certificates assume it, got {failed} failed tests; certificates "
            "from this machine would be void: install numpy and torch anew, and test again"
        )
