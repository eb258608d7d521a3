"""What figures and prose call the theory's problems and methods; rates.csv and the code keep their short names."""

OBJECTIVES = {
    "cos": "cosines",
    "cosill": "ill-conditioned cosines",
    "gm": "Geman–McClure",
    "robust": "robust regression",
    "cos_equal": "cosines of any dimension",
}
NOISES = {"gaussian": "Gaussian noise", "skewed": "rare large gradients", "finite_sum": "one example a step"}
METHODS = {
    "nsgd": "normalized SGD",
    "nsgdm": "normalized SGD with momentum",
    "nigt": "NIGT",
    "sgd": "SGD",
    "igt": "Arnold et al.'s transport",
    "storm": "STORM",
    "adaptive": "Algorithm 2, C as printed",
    "adaptive_corrected": "Algorithm 2, C with 52",
}

PROBLEMS = (
    ("cos", "gaussian"),
    ("cos", "skewed"),
    ("cosill", "gaussian"),
    ("gm", "gaussian"),
    ("robust", "finite_sum"),
)  # of the rates


def problem(objective: str, noise: str, joined: str = ", ") -> str:
    """ "ill-conditioned cosines, Gaussian noise"."""
    return f"{OBJECTIVES[objective]}{joined}{NOISES[noise]}"
