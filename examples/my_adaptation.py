"""An adaptation of your own: try it with `pdefm eval --adaptation examples/my_adaptation.py:adapt --shots 32 …`."""

import torch

from pdebench_fm import SupportSet


def adapt(module: torch.nn.Module, support: SupportSet, seed: int) -> torch.nn.Module:
    """Fine-tune on examples that are mirrored and turned at random, as the equation allows."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(200):
        rows = support[torch.randint(len(support), (8,), generator=generator)]
        turn = support.symmetries[int(torch.randint(len(support.symmetries), (), generator=generator))]
        predicted = module(turn.of_field(rows.source), turn.of_coefficients(rows.coefficients))
        errors = (predicted - turn.of_field(rows.solution)).norm(dim=(1, 2)) / rows.solution.norm(dim=(1, 2))
        optimizer.zero_grad()
        errors.mean().backward()
        optimizer.step()
    return module
