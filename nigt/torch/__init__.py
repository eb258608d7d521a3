"""NIGT for PyTorch, as a torch.optim.Optimizer."""

from nigt.missing import explained

try:
    from nigt.torch.groups import parameter_groups
    from nigt.torch.optimizer import NIGT
except ModuleNotFoundError as error:
    raise explained(error, "nigt.torch", "torch") from None

__all__ = ["NIGT", "parameter_groups"]
