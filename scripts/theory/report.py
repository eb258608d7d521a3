"""report.md: the verdicts, what they mean, and the negative results, every number from the records."""

from collections import Counter
from collections.abc import Sequence

from scripts import markdown
from scripts.figures.selection import FIT_FROM
from scripts.theory import acceptance, findings
from scripts.theory.acceptance import Row
from scripts.theory.tasks import Record


def text(records: Sequence[Record], rows: Sequence[Row], made: dict) -> str:
    """The whole report.

    Args:
      records: All measurements.
      rows: The acceptance table.
      made: command, commit, dirty, quick, source, seed, device, workers, tasks, task_seconds, wall_seconds.
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
        "## The acceptance table\n\n" + table(rows),
        _CONVENTIONS,
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """The acceptance table in Markdown."""
    return markdown.table(acceptance.COLUMNS, [list(row.cells().values()) for row in rows])


def _made(made: dict, longest: int) -> str:
    dirty = " (modified)" if made["dirty"] else ""
    return (
        f"Made by `{made['command']}` at commit {made['commit'][:7]}{dirty} on {made['device']}: {made['tasks']} "
        f"measurements, {made['task_seconds'] / 60:.1f} minutes of computing in all, seed {made['seed']}, T up to "
        f"{longest:,}, float64. The code that measured has the digest {made['source']}. n and the standard error over "
        f"replicates stand with every number."
    )


def _verdicts(rows: Sequence[Row]) -> str:
    counts = Counter(row.verdict for row in rows)
    lines = [f"**{counts['holds']} of {len(rows)} rows of the acceptance table hold.**"]
    for verdict in ("fails", "undecided"):
        for row in rows:
            if row.verdict == verdict:
                spread = f" ± {row.stderr:.2g}" if row.stderr else ""
                lines.append(
                    f"- *{verdict}*: {row.claim} ({row.where}): {row.measured:.4g}{spread}, accepted {row.accepted}"
                )
    return "\n".join(lines)


_CONVENTIONS = f"""## How it was measured

- **Objectives**, in ten dimensions unless said otherwise. `cos`: F = Σ(1 − cos wᵢ), L = ρ = 1, σ = 2. `cosill`: the
  same, weighted from 1 down to 0.01, σ = 1. `gm`: F = Σ wᵢ²/(1 + wᵢ²), L = 2, ρ = 4.67, σ = 1. `robust`: the mean
  of r²/(1 + r²) over the residuals r of 200 examples, one drawn a step. `cos_equal`: `cos` from equal coordinates,
  R = 1, σ = 1. R = F(w_1); σ² is the variance of the whole vector.
- **Skewed noise**, along one direction u: +p·c·u with probability 1 − p, −(1 − p)·c·u with p = 0.1, c = σ/√(p(1 −
  p)).
- **Measured** is the true ‖∇F(w_t)‖ at the iterate, averaged over t = 1…T and then over n replicates; "last" is
  ‖∇F(w_T)‖.
- **Slopes** are least squares of log value over log T, T ≥ {FIT_FROM:,}. Algorithm 2 and STORM do not depend on T:
  their values at different T are of the same runs, so their slopes' standard errors, which take them for
  independent, are only a guide.
- **nsgd** has α = 1 and η = √(R/(TL)). **nsgdm** and **nigt** have the η and α of Theorems 1 and 3. **sgd** and
  **igt**, for which the paper gives no η, have the best of eight, 2⁻³…2⁴ times min(1/L, √(R/(TL))/σ), chosen on 4
  or 8 replicates apart. Nothing is tuned on `gm` and `robust`, where ‖∇F‖ vanishes at infinity and a step that is
  far too large would win.
- **Algorithm 2** is given g = sup‖∇F‖ where the noise is Gaussian: no g bounds ‖∇f‖ then, so Theorem 4 does not
  apply to these runs. With skewed noise g is the true bound. It draws two samples a step, the others one.
- **STORM** has b = 1 and, with Gaussian noise, G = sup‖∇F‖ + 2σ; it evaluates one sample at two points.
- Bounds are those that the proofs give ([docs/errata.md](../../docs/errata.md)). A claim *holds* if its number is
  in the range set beforehand, is *undecided* if it is outside by less than two standard errors, else *fails*."""
