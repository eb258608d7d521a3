"""report.md: the verdicts, what they mean, and the negative results, every number from the records."""

from collections.abc import Sequence

from nigt.theory import problems, tuning
from nigt.theory.objectives import RobustRegression
from scripts import markdown
from scripts.figures.selection import FIT_FROM
from scripts.figures.theory_names import OBJECTIVES
from scripts.theory import acceptance, findings
from scripts.theory.acceptance import Row
from scripts.theory.tasks import Record


def text(records: Sequence[Record], rows: Sequence[Row], made: dict) -> str:
    """The whole report.

    Args:
      records: All measurements.
      rows: The acceptance table.
      made: command, commit, dirty, quick, source, seed, device, workers, tasks, task_seconds, batch_seconds,
        wall_seconds.
    """
    longest = max(r.T for r in records if r.experiment == "rates")
    parts = [
        "# The theory, measured" + (" (QUICK: too short to be final)" if made["quick"] else ""),
        _made(made, longest),
        _verdicts(rows),
        "## What momentum does to normalized SGD\n\n![momentum](momentum.png)\n\n" + findings.momentum(records),
        "## Negative results\n\n" + "\n".join(f"- {finding}" for finding in findings.negative(records)),
        "## Rates against the bounds\n\n![rates](rates.png)\n\n" + findings.rates(records),
        "## Methods side by side\n\n![comparison](comparison.png)\n\n" + findings.comparison(records),
        "## Adaptivity to σ\n\n![adaptivity](adaptivity.png)\n\n" + findings.adaptivity(records),
        "## Fixed batches\n\n" + findings.batches(records) + f" {made['batch_seconds'] / 60:.1f} minutes of computing.",
        "## The acceptance table\n\n" + table(rows),
        _conventions(),
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """The acceptance table in Markdown."""
    return markdown.table(acceptance.COLUMNS, [list(row.cells().values()) for row in rows])


def _made(made: dict, longest: int) -> str:
    dirty = " (modified)" if made["dirty"] else ""
    return (
        f"Made by `{made['command']}` at commit {made['commit'][:7]}{dirty} on {made['device']}: {made['tasks']} "
        f"measurements, {made['task_seconds'] / 60:.1f} minutes of computing in all, seed {made['seed']}, rates up to "
        f"T = {longest:,}, float64. The code that measured has the digest {made['source']}. Every number has its n and "
        "its standard error over replicates."
    )


def _verdicts(rows: Sequence[Row]) -> str:
    lines = [f"**{acceptance.counts(rows)}.**", ""]
    for row in rows:
        if (row.kind, row.verdict) == (acceptance.AGAINST, "holds"):
            lines.append(f"- *against the paper*: {row.claim} ({row.where}): {row.measured:.4g}")
    for verdict in ("fails", "undecided"):
        for row in rows:
            if row.verdict == verdict:
                spread = f" ± {row.stderr:.2g}" if row.stderr else ""
                lines.append(
                    f"- *{verdict}*: {row.claim} ({row.where}): {row.measured:.4g}{spread}, accepted {row.accepted}"
                )
    return "\n".join(lines)


def _conventions() -> str:
    robust = problems.objective("robust")
    assert isinstance(robust, RobustRegression)
    measured = robust.sigma_at(robust.start) ** 2
    names = {key: f"**{name}** (`{key}` in the tables of numbers)" for key, name in OBJECTIVES.items()}
    return f"""## How it was measured

- **Objectives**, in ten dimensions unless said otherwise. {names["cos"]}: F = Σ(1 − cos wᵢ), L = ρ = 1, σ = 2.
  {names["cosill"]}: the same, weighted from 1 down to 0.01, σ = 1. {names["gm"]}: F = Σ wᵢ²/(1 + wᵢ²), L = 2,
  ρ = 4.67, σ = 1. {names["robust"]}: the mean of r²/(1 + r²) over the residuals r of 200 examples, one drawn a step;
  its σ² is a bound, {robust.sample_sigma**2:.3f}, of which {measured:.3f} is measured at w_1. {names["cos_equal"]}:
  from equal coordinates, R = 1, σ = 1. R = F(w_1); σ² is the variance of the whole vector.
- **Rare large gradients**, skewed noise along one direction u: +p·c·u with probability 1 − p, −(1 − p)·c·u with
  p = 0.1, c = σ/√(p(1 − p)).
- **Measured** is the true ‖∇F(w_t)‖ at the iterate, averaged over t = 1…T and then over n replicates; "last" is
  ‖∇F(w_T)‖.
- **Slopes** are least squares of log value over log T, T ≥ {FIT_FROM:,}. Algorithm 2 and STORM do not depend on T:
  their values at different T are of the same runs, so their slopes' standard errors, which take them for
  independent, are only a guide.
- **Normalized SGD** (`nsgd`) has α = 1 and η = √(R/(TL)), with momentum (`nsgdm`) and as **NIGT** (`nigt`) the η and
  α of Theorems 1 and 3. **SGD** (`sgd`) and Arnold et al.'s transport (`igt`), for which the paper gives no η, have
  the best of eight, 2⁻³…2⁴ times min(1/L, √(R/(TL))/σ), chosen on 4 or 8 replicates apart. Where
  methods are tuned alike, η is the best of as many factors on √(Rα/(TL)), and α, where there is one, of
  {", ".join(f"{alpha:.2g}" for alpha in tuning.ALPHAS)}; SGD has no second number to tune. Where the best α
  is 1, no momentum, and η is normalized SGD's, it is the same method, and its replicates count as normalized SGD's.
  Nothing is tuned on
  {OBJECTIVES["gm"]} and {OBJECTIVES["robust"]}, where ‖∇F‖ vanishes at infinity and a step that is far too large would
  win.
- **Algorithm 2** is given g = sup‖∇F‖ where the noise is Gaussian: no g bounds ‖∇f‖ then, so Theorem 4 does not
  apply to these runs. With skewed noise g is the true bound. It draws two samples a step, the others one.
- **STORM** has b = 1 and, with Gaussian noise, G = sup‖∇F‖ + 2σ; it evaluates one sample at two points.
- Bounds are those that the proofs give ([docs/errata.md](../../docs/errata.md)). A row *holds* if its number is in
  the range set beforehand, is *undecided* if it is outside by less than two standard errors, else *fails*. Its kind
  says whose claim the range stands for: the paper's; ours, which the paper does not make; or *against the paper*,
  ours where the paper says otherwise."""
