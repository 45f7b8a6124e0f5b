"""The two implementations of the truncated Fourier transform: which is faster for n points a side and m modes.

    python scripts/bench/transform.py [--threads 2] [--device cpu]

Timed is what a Fourier layer does with each field, there and back, on two megabytes of fields.
`models.transform.fastest` is the rule that this table led to.
"""

import argparse
import statistics
import time

import torch

from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models.transform import Transform, fastest, transform_of

VALUES = 2**19
TURNS = 15


def there_and_back(transform: Transform, fields: torch.Tensor) -> float:
    began = time.perf_counter()
    transform.synthesise(transform.analyse(fields).contiguous())
    if fields.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


@torch.inference_mode()
def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--device", default="cpu")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = torch.device(options.device)
    print(f"PyTorch {torch.__version__}, {options.device}, {options.threads} threads; time of fft / time of dft")
    for n in (32, 64, 128, 256, 512):
        cells = []
        for m in (4, 8, 16, 32, 64, 128):
            if 2 * m > n:
                continue
            fields = torch.randn(max(1, VALUES // (n * n)), 1, n, n, device=device)
            dft, fft = (transform_of((n, n), m, device, fields.dtype, kind) for kind in ("dft", "fft"))
            ratios = [there_and_back(fft, fields) / there_and_back(dft, fields) for _ in range(TURNS + 1)][1:]
            cells.append(f"m {m}: {statistics.median(ratios):5.2f} ({fastest(m)})")
        print(f"n {n:>3} | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
