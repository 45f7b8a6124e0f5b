"""What a study's picture shows of its runs, and whether they have what it takes."""

from collections.abc import Collection
from typing import Literal

from pdebench_fm.contracts import Contract
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.studies.documents import Place
from pdebench_fm.studies.runs import RunKey
from pdebench_fm.studies.values import Name, Shots, Words

PictureKind = Literal["shots", "sizes", "regimes", "resolutions", "steps", "ratios", "fields"]


class Side(Contract):
    """Which runs are above, or below, the line of a ratio."""

    start: Start | None = None
    method: Words | None = None
    model: Name | None = None

    def has(self, run: RunKey) -> bool:
        """Tell whether a run is on this side."""
        return all(getattr(run, name) == value for name, value in self.model_dump().items() if value is not None)

    def others(self, run: RunKey, other: "Side") -> tuple[object, ...]:
        """Return what a run on either side has in common with that on the other one which it makes a ratio with."""
        differing = {
            name for name in Side.model_fields if getattr(self, name) is not None or getattr(other, name) is not None
        }
        return tuple(value for name, value in run._asdict().items() if name not in differing)


class Picture(Contract):
    """What a study's figure shows of its runs.

    Attributes:
        kind: errors against shots, model sizes, regimes, the grid's points, or steps of pretraining; ratios of errors;
            or the fields themselves.
        title: above it.
        histogram: whether the physics that was pretrained on and that is scored is drawn above.
        shots, starts, methods: only these.
        of, to: for ratios, the runs above and below the line.
    """

    kind: PictureKind
    title: Words
    histogram: bool = False
    shots: tuple[Shots, ...] = ()
    starts: tuple[Start, ...] = ()
    methods: tuple[Words, ...] = ()
    of: Side | None = None
    to: Side | None = None

    def shows(self, run: RunKey, track: str) -> bool:
        """Tell whether a run is in the picture of a study on this track: two tracks are never drawn as one."""
        return (
            (self.kind == "resolutions" or run.track == track)
            and (not self.shots or run.shots in self.shots)
            and (not self.starts or run.start in self.starts)
            and (not self.methods or run.method in self.methods)
        )


def lacking(picture: Picture, runs: Collection[RunKey], track: str) -> tuple[Place, str] | None:
    """Return what a picture of runs cannot be drawn for, and where in it; None for nothing.

    Args:
        picture: which isn't of fields.
        runs: of its study.
        track: of the study.
    """
    for key, name in (("shots", "shots"), ("starts", "start"), ("methods", "method")):
        there = sorted({getattr(run, name) for run in runs})
        for i, wanted in enumerate(getattr(picture, key)):
            if wanted not in there:
                return (key, i), f"no run of the study has {name} {wanted}: they have {', '.join(map(str, there))}"
    shown = [run for run in runs if picture.shows(run, track)]
    if not shown:
        return (), f"no run of the study is left for it, on the track {track}"
    return _lacking_for_ratios(picture, shown)


def _lacking_for_ratios(picture: Picture, shown: Collection[RunKey]) -> tuple[Place, str] | None:
    of, to = picture.of, picture.to
    if picture.kind != "ratios":
        return ((), f"of and to are for ratios, and this picture is of {picture.kind}") if of or to else None
    if not (of and to):
        return (), "a picture of ratios needs of and to"
    above, below = ({of.others(run, to) for run in shown if side.has(run)} for side in (of, to))
    return None if above & below else ((), "no two runs of the study make a ratio of of and to")
