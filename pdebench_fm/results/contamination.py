"""What a result says of its model's training: labels that follow from the manifest in it, held to it when read."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from pdebench_fm.data.training_manifest import TrainingManifest
from pdebench_fm.protocol.contamination import Knowledge, ScoredRows, knowledge_of, seen_test_rows, share_inside
from pdebench_fm.results.fields import Count, Record

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class Contamination(Record):
    """What the model, before any adaptation, knew of what it was scored on.

    `regime` is "seen" if all values of the task's varied parameter lie in what the model was trained on, "overlapping"
    if some do, "unseen" if none, "unknown" without a training manifest. `trained_share` is the share of the scored rows
    whose parameter lies in that, `looked_at_share` in what its settings were chosen by; `test_rows_seen` is how
    many of those very rows were trained on or looked at. All three are None for a model without a manifest, and the
    shares where nothing was scored.
    """

    regime: Knowledge
    trained_share: Share | None
    looked_at_share: Share | None
    test_rows_seen: Count | None


def contamination_of(
    manifest: TrainingManifest | None, rows: ScoredRows, parameters: NDArray[np.float64] | None
) -> Contamination:
    """Return what a manifest means for scored rows.

    Args:
        manifest: the model's, if it has one.
        rows: that were scored.
        parameters: the varied parameter of each; None where nothing was scored.
    """
    system = rows.key.system
    trained, looked_at = None, None
    if manifest is not None and parameters is not None:
        trained, looked_at = (share_inside(s, system, parameters) for s in (manifest.trained, manifest.looked_at))
    return Contamination(
        regime=knowledge_of(manifest, system, rows.span),
        trained_share=trained,
        looked_at_share=looked_at,
        test_rows_seen=seen_test_rows(manifest, rows),
    )
