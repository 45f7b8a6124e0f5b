"""The benchmark's equations with sources that no model has seen: narrower Gaussians, and other sparsities."""

from dataclasses import replace

from pdebench_fm.physics import SYSTEMS, register_system

_NARROW = {"source_width": 1.0 / 48.0}  # the benchmark's is 1/32
_DENSE = {"sparsities": (0.0, 0.05)}  # the benchmark's are 0.2, 0.4, 0.6 and 0.8
_SPARSE = {"sparsities": (0.9, 0.95)}

for _name, _kind, _change in (
    ("poisson", "narrow", _NARROW),
    ("poisson", "dense", _DENSE),
    ("poisson", "sparse", _SPARSE),
    ("helmholtz", "narrow", _NARROW),
    ("helmholtz", "sparse", _SPARSE),
):
    _system = SYSTEMS[_name]
    register_system(
        replace(
            _system,
            name=f"{_name}-{_kind}-sources",
            title=f"{_system.title}, {_kind} sources",
            regimes={name: _system.regimes[name] for name in ("in-domain", "medium")},
            paper_name=None,
            **_change,
        )
    )
