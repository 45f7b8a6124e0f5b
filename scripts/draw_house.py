"""Draw which room of the package imports which, from the imports in its source: python scripts/draw_house.py [FILE].

Rooms stand in the order of tests/test_structure.py, the ground floor below. A line goes from a room up to one that
imports it; one that follows from two others is grey.
"""

import ast
import html
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pdebench_fm"
HOME = ROOT / "docs" / "_static" / "house.svg"

ROW, LEFT, WIDTH, BOX = 44, 190, 1130, 130
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1f2937}.name{font-weight:600}.says{fill:#4b5563;font-size:13px}"
    "rect{fill:#e0ecf8;stroke:#2a6f97}path{fill:none;stroke:#2a6f97;stroke-width:2}"
    "path.implied{stroke:#9ca3af;stroke-width:1;stroke-opacity:.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.says{fill:#9ca3af}rect{fill:#1e3a52}path{stroke:#7cc0e8}}"
)


def rooms_in_order() -> list[str]:
    """The rooms, the lowest first, as the test of the house names them."""
    tree = ast.parse((ROOT / "tests" / "test_structure.py").read_text(encoding="utf-8"))
    (rooms,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS"
    )
    return rooms


def imports_between(rooms: list[str]) -> set[tuple[str, str]]:
    """The pairs of rooms of which the first imports from the second."""
    return {
        (room, other)
        for room in rooms
        for path in (PACKAGE / room).rglob("*.py")
        for other in imported_rooms(path)
        if other in rooms and other != room
    }


def imported_rooms(path: Path) -> set[str]:
    """The folders and modules right below the package that a module imports from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("pdebench_fm.")}


def says(room: str) -> str:
    """The first sentence of a room's docstring."""
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).replace("`", "")


def drawing() -> str:
    """The picture."""
    rooms = rooms_in_order()
    pairs = imports_between(rooms)
    middle = {room: 30 + ROW * (len(rooms) - 1 - i) for i, room in enumerate(rooms)}
    parts = []
    for room, other in sorted(pairs):
        implied = any((room, between) in pairs and (between, other) in pairs for between in rooms)
        top, bottom = middle[room], middle[other]
        reach = LEFT - 22 * (abs(top - bottom) / ROW) ** 0.85
        kind = ' class="implied"' if implied else ""
        parts.append(
            f'<path{kind} d="M{LEFT} {bottom + 5}C{reach:.0f} {bottom + 5} {reach:.0f} {top - 5} {LEFT} {top - 5}">'
            f"<title>{room} imports {other}</title></path>"
        )
    parts.sort(key=lambda part: "implied" not in part)  # grey lines below the others
    for room in rooms:
        y = middle[room]
        parts.append(f'<rect x="{LEFT}" y="{y - 15}" width="{BOX}" height="30" rx="5"/>')
        parts.append(f'<text class="name" x="{LEFT + 12}" y="{y + 5}">{room}</text>')
        parts.append(
            f'<text class="says" x="{LEFT + BOX + 14}" y="{y + 5}">{html.escape(says(room), quote=False)}</text>'
        )
    height = 60 + ROW * (len(rooms) - 1)
    title = "Rooms of the package, and which of them import which: imports go from the upper ones to the lower ones"
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">\n'
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME
    target.write_text(drawing(), encoding="utf-8")
    print(target)
