"""Write the page on what was reproduced from the studies: python scripts/reproduction_page.py [FOLDER [PAGE]].

The studies are in reproduction/, and the page is docs/reproduction/paper.md.
"""

import sys
from pathlib import Path

from pdebench_fm.files import write_atomically
from pdebench_fm.studies.report import page

ROOT = Path(__file__).parent.parent

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "reproduction"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "reproduction" / "paper.md"
    if not folder.is_dir():
        sys.exit(f"there is no folder {folder}: name that of the studies")
    write_atomically(target, page(folder, target.parent))
    print(target)
