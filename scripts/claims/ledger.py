"""The claims, in the paper's order."""

import dataclasses

from scripts.claims.evidence import Evidence, against, erratum, laptop, memory, paper_scale, tested, theory


@dataclasses.dataclass(frozen=True)
class Claim:
    """One checkable claim.

    Attributes:
      place: Where it stands in the paper.
      text: What is claimed, in our words.
      shown_by: What would show it.
      paper: The paper's number; "" if it gives none.
      evidence: What was found.
    """

    place: str
    text: str
    shown_by: str
    paper: str
    evidence: Evidence


_SKEWED_NSGD = "without momentum ‖∇F(w_T)‖ stays at σ√(p/(1 − p))"
_NO_MOMENTUM_DRIFT, _DRIFT = "drift without momentum: 1 − 2p", "drift with momentum: the skewness that is left"
_ADAPTS = "Theorem 4 adapts: the mean grows with σ, by (in stderr) at least"

CLAIMS = (
    Claim(
        "abstract; sections 1, 2",
        "With momentum, normalized SGD needs no large batch: it converges where, without momentum, it stays away",
        "batches of one sample of skewed noise: ‖∇F‖ stays without momentum and falls with it",
        "",
        theory(_SKEWED_NSGD),
    ),
    Claim(
        "sections 1, 2",
        "Without momentum, normalized SGD needs small variance or very large batches to converge",
        "batches of one sample of Gaussian noise: its mean of ‖∇F‖ over that of Theorem 1's momentum",
        "",
        against(
            "corrected",
            "Gaussian noise: no momentum/Theorem 1",
            ours="true of skewed noise; with symmetric noise it converges, ahead of Theorem 1's settings:",
        ),
    ),
    Claim(
        "section 1",
        "Arnold et al.'s transport gives, where the Hessian is constant, an unbiased estimate of variance σ²/(t + 1)",
        "the estimate's error on a quadratic",
        "σ²/(t + 1)",
        theory("Arnold et al.: variance·(t + 1)/σ² is 1", where="quadratic"),
    ),
    Claim(
        "section 1",
        "… m_t − ∇F(w_t) is then the mean of the noise",
        "the two, path by path",
        "0",
        theory("Arnold et al.: m_t − ∇F(w_t) is the mean of the noise, pathwise"),
    ),
    Claim(
        "section 2",
        "In the counterexample normalized SGD moves away from a critical point by 1 − 2p a step in the mean",
        "the drift for three values of p",
        "1 − 2p",
        theory(_NO_MOMENTUM_DRIFT),
    ),
    Claim(
        "section 2",
        "… which momentum repairs by averaging the error away",
        "the drift with momentum: it shrinks like √(1 − β), and is not 0",
        "",
        theory(_DRIFT),
    ),
    Claim(
        "Lemma 2",
        "A normalized step gains η‖∇F‖/3 but for 8η‖ε̂‖/3 and Lη²/2",
        "the inequality at every step, for any direction",
        "1/3, 8/3",
        tested(
            "test_theory_methods.py", "test_lemma_2_holds_at_every_step_for_any_direction", "holds; 1 and 2 would do"
        ),
    ),
    Claim(
        "Theorem 1",
        "The bound on the mean of ‖∇F(w_t)‖",
        "the measured mean below it, on five problems and five T",
        "",
        theory("Theorem 1: the bound holds"),
    ),
    Claim("Theorem 1", "The bound's last term", "dimensions; the proof", "8σ/√(RLT)", erratum(1, "8σ²/√(RLT)")),
    Claim(
        "Theorem 1",
        "Normalized SGD with momentum has SGD's optimal rate, T^(−1/4)",
        "the slope of the mean over T on five problems",
        "−1/4",
        theory("Theorem 1: slope"),
    ),
    Claim(
        "section 3",
        "With β_t = t/(t + 1) the update is exactly Arnold et al.'s",
        "the weights of the samples in m_t",
        "t/(t + 1)",
        erratum(3, "(t − 1)/t"),
    ),
    Claim(
        "Theorem 3",
        "The bound on the mean of ‖∇F(w_t)‖ with transport",
        "the measured mean below it, on five problems and five T",
        "",
        theory("Theorem 3: the bound holds"),
    ),
    Claim(
        "abstract; Theorem 3",
        "NIGT finds an ε-critical point in O(1/ε^3.5) iterations: the rate T^(−2/7)",
        "the slope of the mean over T, and that it is steeper than Theorem 1's",
        "−2/7",
        theory("Theorem 3: slope"),
    ),
    Claim(
        "abstract; Theorems 1, 3",
        "The rates do not depend on the dimension, not even by a logarithm",
        "the mean at d = 1000 over that at d = 10",
        "1",
        theory("dimension-free: ratio to d = 10"),
    ),
    Claim(
        "Theorems 1, 3",
        "The settings are defined for every σ, ρ and R",
        "σ = 0, ρ = 0, R = 0",
        "",
        erratum(4, "they divide by zero; any positive upper bound serves"),
    ),
    Claim("Algorithm 2", "α_1 = 1/(η_0²·G_0)", "what G_0 is", "G_0", erratum(5, "G_0 = D, with which α_1 = 1")),
    Claim(
        "Algorithm 2",
        "1 − β_t = α_t stays in (0, 1]",
        "α_t on 20 runs",
        "≤ 1",
        theory("Algorithm 2: α_t ≤ 1"),
    ),
    Claim(
        "Theorem 4",
        "C = √(7/(26·g^(6/7))) makes 26·C²·g^(6/7)/7 equal to 1/2",
        "the arithmetic",
        "26",
        erratum(9, "52"),
    ),
    Claim("Theorem 4's proof", "δ_{t+1} ≤ 2g²", "two opposite gradients", "2g²", erratum(11, "4.19g²")),
    Claim(
        "abstract; section 4",
        "The adaptive method gains by itself where the gradients vary little",
        "Algorithm 2's mean grows with σ, its settings left alone",
        "",
        against(
            "undecided",
            _ADAPTS,
            ours="it grows, as adapting would have it; no control that does not adapt was run:",
        ),
    ),
    Claim(
        "Theorem 4",
        "Without noise the rate is T^(−1/2), with noise T^(−2/7)",
        "Algorithm 2's slope near a minimum, T up to 1e6, printed C",
        "−1/2, −2/7",
        against("undecided", "Algorithm 2: slope of the mean", ours="not reached at these T:"),
    ),
    Claim(
        "sections 1, 6",
        "NIGT keeps one slot a parameter, much less than Adam or LAMB",
        "the optimizers' variables on both models",
        "1",
        memory("Adam", "LAMB"),
    ),
    Claim(
        "section 5.1",
        "η0 = 0.01 is the best of the grid for ResNet-50, and 0.001 for BERT-Base",
        "the grid at the paper's scale",
        "0.01; 0.001",
        paper_scale("resnet-nigt-sweep", "bert-nigt-sweep"),
    ),
    Claim(
        "section 5.2; Figure 1 (a)",
        "NIGT ends slightly ahead of Adam on BERT-Base after 500k steps",
        "both runs",
        "70.91 against 70.76",
        paper_scale("bert-nigt", "bert-adam"),
    ),
    Claim(
        "section 5.2",
        "BERT-Base reaches a masked-LM accuracy of 70.0 %",
        "steps_to_target in the run's metrics",
        "70.0 %",
        paper_scale("bert-nigt"),
    ),
    Claim(
        "section 5.2",
        "NIGT does as well as Adam on masked-LM pretraining",
        "the study's BERT, by its protocol's margin",
        "",
        laptop("bert", "Adam"),
    ),
    Claim(
        "section 5.3; Figure 1 (b)",
        "NIGT ends ahead of SGD on ResNet-50 after 90 epochs",
        "both runs",
        "76.37 % against 76.2 %",
        paper_scale("resnet-nigt", "resnet-sgd"),
    ),
    Claim(
        "section 5.3",
        "NIGT does as well as SGD with momentum on image classification",
        "the study's ResNet, by its protocol's margin",
        "",
        laptop("resnet", "SGD"),
    ),
    Claim(
        "sections 1, 5.3",
        "Adam fails to reach SGD's accuracy on ResNets",
        "the study's ResNet: tuned SGD ahead of tuned Adam",
        "",
        laptop("resnet", "Adam", beside="SGD", better=True),
    ),
    Claim(
        "sections 1, 5.3",
        "… and so does AdaGrad",
        "the study's ResNet: tuned SGD ahead of tuned AdaGrad",
        "",
        laptop("resnet", "AdaGrad", beside="SGD", better=True),
    ),
    Claim(
        "section 6",
        "The heuristics do better than the adaptive algorithm",
        "the study's ResNet: NIGT ahead of Algorithm 2, its step times a schedule with a tuned factor",
        "",
        laptop("resnet", "Algorithm 2 as printed", better=True),
    ),
    Claim(
        "section 5.1",
        "Scaling by the weights' norm is one of the heuristics that help",
        "the study's ResNet: NIGT ahead of 1/‖m‖ alone, both tuned, that with the better factor (1, not 1000)",
        "",
        laptop("resnet", "no weight norm, factor 1", better=True),
    ),
    Claim(
        "section 3",
        "Transport adds to normalized momentum",
        "the study's ResNet: NIGT ahead of the same without transport, both tuned",
        "",
        laptop("resnet", "no transport", better=True),
    ),
)
