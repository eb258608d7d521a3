"""The claims, in the paper's order."""

import dataclasses
import functools

from scripts.claims import paper_scale
from scripts.claims.evidence import Evidence, Words, against, both, erratum, laptop, memory, study, tested, theory
from scripts.claims.paper_scale import Side
from scripts.study import plan


@dataclasses.dataclass(frozen=True)
class Claim:
    """One checkable claim.

    Attributes:
      place: Where it stands in the paper.
      text: What is claimed, in our words.
      shown_by: What would show it.
      paper: The paper's number; "" if it gives none.
      evidence: What was found.
      kind: One of KINDS: what the verdict is about.
      laptop: Of a claim about the paper's scale, what the study shows at its own.
    """

    place: str
    text: str
    shown_by: str
    paper: str
    evidence: Evidence
    kind: str
    laptop: Words | None = None


KINDS = ("theorem", "number of the theory", "laptop experiment", "paper's scale")
_theorem, _number, _experiment, _paper = (functools.partial(Claim, kind=kind) for kind in KINDS)

_SKEWED_NSGD = "without momentum ‖∇F(w_T)‖ stays at σ√(p/(1 − p))"
_NO_MOMENTUM_DRIFT, _DRIFT = "drift without momentum: 1 − 2p", "drift with momentum: the skewness that is left"
_ADAPTS = "Theorem 4 adapts: the mean grows with σ, by (in stderr) at least"

_NIGT, _ADAM, _SGD = map(Side, ("nigt", "adam", "sgd"))
_ADAGRAD = Side("adagrad", "experiment.optimizer=@adagrad(), adagrad.learning_rate=@warmup_polynomial_decay()", "nigt")
_ALGORITHM_2 = Side("nigt", ", ".join(plan.find("resnet", "Algorithm 2 as printed").bindings))
# Of the study: what stands beside what, and under which conditions.
_EQUAL_SGD = "SGD with NIGT's schedule"
_BERT = (
    ("bert", "NIGT, finer grid", "Adam, finer grid", "from scratch, 6,000 steps"),
    ("bert", "NIGT, 24000 steps", "Adam, 24000 steps", "from scratch, 24,000 steps"),
    ("bert", "NIGT, after the plateau", "Adam, after the plateau", "after the plateau"),
)
_PAPERS = "from scratch, 6,000 steps, at the paper's own rates"
_RATES = ("bert", "NIGT at the paper's rate", "Adam at the paper's rate", _PAPERS)
_RECIPES = ("resnet", "NIGT", "SGD", "each with the paper's schedule")
_SCHEDULES = ("resnet", "NIGT", _EQUAL_SGD, "both with NIGT's schedule")

SECTIONS = {
    "Section 1: what is promised": (
        _theorem(
            "abstract; sections 1, 2",
            "With momentum, normalized SGD needs no large batch: it converges where, without momentum, it stays away",
            "batches of one sample of skewed noise: ‖∇F‖ stays without momentum and falls with it",
            "",
            theory(
                _SKEWED_NSGD, said="with skewed noise, one sample a step, ‖∇F‖ falls with momentum and stays without"
            ),
        ),
        _theorem(
            "sections 1, 2",
            "Without momentum, normalized SGD needs small variance or very large batches, of the order of T, "
            "to converge",
            "one sample a step of Gaussian noise: its mean of ‖∇F‖ over that of Theorem 1's momentum; fixed batches of "
            "skewed noise: where ‖∇F(w_T)‖ rests, up to T = 1e7",
            "T",
            against(
                "corrected",
                "Gaussian noise: no momentum/Theorem 1",
                "fixed batches without momentum: ‖∇F(w_T)‖ is where the walk along u rests",
                ours="with skewed noise the batch must grow like 1/ε, not like T; with symmetric noise one sample "
                "is enough",
            ),
        ),
        _theorem(
            "section 1",
            "Arnold et al.'s transport gives, where the Hessian is constant, an unbiased estimate of variance "
            "σ²/(t + 1)",
            "the estimate's error on a quadratic",
            "σ²/(t + 1)",
            theory(
                "Arnold et al.: variance·(t + 1)/σ² is 1", said="it has this variance on a quadratic", where="quadratic"
            ),
        ),
        _theorem(
            "section 1",
            "… m_t − ∇F(w_t) is then the mean of the noise",
            "the two, path by path",
            "0",
            theory(
                "Arnold et al.: m_t − ∇F(w_t) is the mean of the noise, pathwise", said="the two agree on every path"
            ),
        ),
    ),
    "Section 2: normalized SGD with momentum": (
        _theorem(
            "section 2",
            "In the counterexample normalized SGD moves away from a critical point by 1 − 2p a step in the mean",
            "the drift for three values of p",
            "1 − 2p",
            theory(_NO_MOMENTUM_DRIFT, said="the measured drift is 1 − 2p"),
        ),
        _theorem(
            "section 2",
            "… and momentum fixes it",
            "the drift with momentum: proportional to √(1 − β), and not 0",
            "",
            against("corrected", _DRIFT, ours="it makes the drift smaller, and 0 only as β goes to 1"),
        ),
        _theorem(
            "Lemma 2",
            "A normalized step gains η‖∇F‖/3 but for 8η‖ε̂‖/3 and Lη²/2; and so do the steps in sum",
            "both inequalities, for any direction",
            "1/3, 8/3",
            tested("test_methods.py", "test_lemma_2_holds_at_every_step_for_any_direction", "holds; 1 and 2 would do"),
        ),
        _theorem(
            "Theorem 1",
            "The bound on the mean of ‖∇F(w_t)‖",
            "the measured mean below it, on five problems and five T",
            "",
            theory("Theorem 1: the bound holds", said="the measured mean is below it on all five problems"),
        ),
        _number("Theorem 1", "The bound's last term", "dimensions; the proof", "8σ/√(RLT)", erratum(1, "8σ²/√(RLT)")),
        _theorem(
            "section 2; Theorem 1",
            "Normalized SGD with momentum matches SGD's rate that is optimal in the worst case, T^(−1/4)",
            "the slope of the mean over T on five problems, none of them the worst case",
            "−1/4",
            theory("Theorem 1: slope", said="the measured slopes are close to it on all five problems"),
        ),
    ),
    "Section 3: implicit gradient transport": (
        _theorem(
            "section 3",
            "With β_t = t/(t + 1) the update for m_t is exactly Arnold et al.'s",
            "the weights of the samples in m_t",
            "t/(t + 1)",
            erratum(3, "the formula is; begun at t = 2 from one sample, (t − 1)/t gives its mean of all"),
        ),
        _theorem(
            "Theorem 3",
            "The bound on the mean of ‖∇F(w_t)‖ with transport",
            "the measured mean below it, on five problems and five T",
            "",
            theory("Theorem 3: the bound holds", said="the measured mean is below it on all five problems"),
        ),
        _theorem(
            "abstract; Theorem 3",
            "NIGT finds an ε-critical point in O(1/ε^3.5) iterations: the rate T^(−2/7)",
            "the slope of the mean over T, and that it is steeper than Theorem 1's",
            "−2/7",
            theory("Theorem 3: slope", said="the measured slopes are close to it, and steeper than Theorem 1's"),
        ),
        _theorem(
            "abstract; Theorems 1, 3",
            "The rates do not depend on the dimension, not even by a logarithm",
            "the mean at d = 1000 over that at d = 10",
            "1",
            theory("dimension-free: ratio to d = 10", said="d = 1000 gives the mean of d = 10"),
        ),
        _theorem(
            "Theorems 1, 3 (not said, but used)",
            "The settings are defined for every σ, ρ and R",
            "σ = 0, ρ = 0, R = 0",
            "",
            erratum(4, "they divide by zero; any positive upper bound serves"),
        ),
        _experiment(
            "section 3 (not said of networks)",
            "Transport adds to normalized momentum",
            "the study's ResNet: NIGT ahead of the same without transport, both tuned",
            "",
            study("resnet", "NIGT", "no transport"),
            laptop=laptop(("resnet", "NIGT", "no transport")),
        ),
    ),
    "Section 4 and appendix A: the adaptive algorithm": (
        _number("Algorithm 2", "α_1 = 1/(η_0²·G_0)", "what G_0 is", "G_0", erratum(5, "G_0 = D, with which α_1 = 1")),
        _number(
            "appendix A",
            "1 − β_t = α_t stays in (0, 1]",
            "α_t on 20 runs",
            "≤ 1",
            theory("Algorithm 2: α_t ≤ 1", said="α_t never exceeded 1"),
        ),
        _number(
            "Algorithm 2; appendix A",
            "C = √(7/(26·g^(6/7))) makes 26·C²·g^(6/7)/7 equal to 1/2",
            "the arithmetic",
            "26",
            erratum(9, "52"),
        ),
        _number(
            "appendix A",
            "C ≥ 1/g^(3/7)",
            "the arithmetic",
            "1",
            erratum(10, "0.52, or 0.37 with 52 in place of 26", "fails"),
        ),
        _number("appendix A", "δ_{t+1} ≤ 2g²", "two opposite gradients", "2g²", erratum(11, "4.19g²")),
        _number("appendix A", "16 + 5 makes 21·C³", "the arithmetic", "21", erratum(12, "24.01")),
        _number(
            "appendix A",
            "α_{t+1}·G_{t+1}·η_t = 1/((t + 1)·η_t); η_t ≤ C/√t; E[1/η_T] grows with g·T^(1/4)",
            "the three along a run",
            "1; C; g",
            erratum(14, "G_{t+1}/G_t, at most 1.18; C·g^(−4/7); g² (errata 15, 16; the last may be a misprint)"),
        ),
        _theorem(
            "abstract; sections 1, 4, 6",
            "The adaptive method gains by itself where the gradients vary little",
            "Algorithm 2's mean grows with σ, its settings left alone, and by more than that of NIGT with settings "
            "fixed for σ = 4, which cannot adapt",
            "",
            against("holds", _ADAPTS, ours="it does, and by more than where the settings are fixed"),
        ),
        _theorem(
            "Theorem 4",
            "Without noise the rate is T^(−1/2), with noise T^(−2/7)",
            "Algorithm 2's slope near a minimum, T up to 1e6, printed C",
            "−1/2, −2/7",
            against(
                "undecided",
                "Algorithm 2: slope of the mean",
                ours="neither slope is reached by T = 1e6",
            ),
        ),
    ),
    "Section 5: experiments": (
        _paper(
            "section 5.1",
            "On ResNet-50 the decay η0·(1 − t/T)² works best",
            "NIGT ahead of the same with η0·(1 − t/T)",
            "",
            paper_scale.beside("resnet", _NIGT, Side("nigt", "warmup_polynomial_decay.power=1.0")),
            laptop=laptop(("resnet", "NIGT", "linear decay")),
        ),
        _paper(
            "sections 5.1–5.3",
            "η0 = 0.01 is the best of the grid for ResNet-50, and 0.001 for BERT-Base",
            "the grid",
            "0.01; 0.001",
            paper_scale.best_of_grid({"resnet": 0.01, "bert": 0.001}, "resnet-nigt-sweep", "bert-nigt-sweep"),
        ),
        _paper(
            "section 5.2; Figure 1 (a)",
            "NIGT ends slightly ahead of Adam on BERT-Base after 500k steps",
            "both runs",
            "70.91 against 70.76",
            paper_scale.beside("bert", _NIGT, _ADAM),
            laptop=laptop(_RATES),
        ),
        _paper(
            "section 5.2",
            "BERT-Base reaches a masked-LM accuracy of 70.0 %",
            "the accuracy at the end",
            "70.0 %",
            paper_scale.reaches("bert", 70.0, "bert-nigt"),
        ),
        _paper(
            "section 5.3; Figure 1 (b)",
            "NIGT ends ahead of SGD on ResNet-50 after 90 epochs",
            "both runs",
            "76.37 % against 76.2 %",
            paper_scale.beside("resnet", _NIGT, _SGD),
            laptop=laptop(_RECIPES),
        ),
        _paper(
            "section 5.3",
            "Adam fails to reach SGD's accuracy on ResNets",
            "SGD ahead of Adam",
            "",
            paper_scale.beside("resnet", _SGD, _ADAM),
            laptop=laptop(("resnet", _EQUAL_SGD, "Adam", "with equal schedules")),
        ),
        _paper(
            "section 5.3",
            "… and so does AdaGrad",
            "SGD ahead of AdaGrad",
            "",
            paper_scale.beside("resnet", _SGD, _ADAGRAD),
            laptop=laptop(("resnet", _EQUAL_SGD, "AdaGrad", "with equal schedules")),
        ),
    ),
    "Section 6: what is concluded": (
        _paper(
            "sections 1, 6",
            "NIGT keeps one slot a parameter, much less than Adam or LAMB",
            "the optimizers' variables on both models",
            "1",
            memory("Adam", "LAMB"),
        ),
        _paper(
            "abstract; section 6",
            "NIGT does as well as Adam on masked-LM pretraining",
            "both runs, with several seeds",
            "",
            paper_scale.beside("bert", _NIGT, _ADAM, better=False),
            laptop=laptop(*_BERT, _RATES),
        ),
        _paper(
            "abstract; section 6",
            "NIGT does as well as SGD with momentum on image classification",
            "both runs, with several seeds",
            "",
            paper_scale.beside("resnet", _NIGT, _SGD, better=False),
            laptop=laptop(_RECIPES, _SCHEDULES),
        ),
        _paper(
            "section 6",
            "NIGT is one of the few optimizers that do well on both",
            "the two comparisons above; of the others, Adam and SGD alone have run on both",
            "",
            both(
                paper_scale.beside("bert", _NIGT, _ADAM, better=False),
                paper_scale.beside("resnet", _NIGT, _SGD, better=False),
            ),
            laptop=laptop(*_BERT, _RECIPES, _SCHEDULES),
        ),
        _paper(
            "section 6",
            "The heuristics do better than the adaptive algorithm",
            "NIGT ahead of Algorithm 2, its step times a schedule with a tuned factor",
            "",
            paper_scale.beside("resnet", _NIGT, _ALGORITHM_2),
            laptop=laptop(("resnet", "NIGT", "Algorithm 2 as printed")),
        ),
        _paper(
            "section 6 (of all heuristics together)",
            "Scaling by the weights' norm is one of the heuristics that help",
            "NIGT ahead of 1/‖m‖ alone; on the laptop both tuned, that with the better factor (1, not 1000)",
            "",
            paper_scale.beside("resnet", _NIGT, Side("nigt", "nigt.scale_by_weight_norm=False")),
            laptop=laptop(("resnet", "NIGT", "no weight norm, factor 1")),
        ),
    ),
}
CLAIMS = tuple(claim for claims in SECTIONS.values() for claim in claims)
