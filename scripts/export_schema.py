"""Write the JSON schema of result files: python scripts/export_schema.py [FILE]."""

import sys
from pathlib import Path

from pdebench_fm.files import write_atomically
from pdebench_fm.results.result import result_schema

HOME = Path(__file__).parent.parent / "leaderboard" / "schema" / "result-v2.json"

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME
    write_atomically(target, result_schema())
    print(target)
