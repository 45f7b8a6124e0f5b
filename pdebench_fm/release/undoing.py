"""The commands that take a step of a release back, given to whoever may want to; nothing here carries them out."""

import shlex
from pathlib import Path

from pdebench_fm.hub.names import numbers_of, tagged_versions
from pdebench_fm.hub.repository import Repository

NOTHING = "nothing to undo: this only reads"


def remove_folder(folder: Path) -> str:
    """Return the command that removes a folder."""
    return shlex.join(["rm", "-r", str(folder)])


def take_back(repository: Repository, version: str) -> str:
    """Return the command that takes a published version back.

    That deletes the repository if it has no other version. Otherwise it deletes the tag, and main gets the files of the
    newest of the others again.
    """
    tags = {} if repository.snapshot() is None else repository.tags()
    others = [held for held in tagged_versions(tags) if held != version]
    if not others:
        return delete(repository)
    name, kind, earlier = repository.name, repository.kind, f"v{max(others, key=numbers_of)}"
    folder = f"{name.partition('/')[2]}-{earlier}"
    commands = (
        ["hf", "repos", "tag", "delete", name, f"v{version}", "--type", kind, "--yes"],
        ["hf", "download", name, "--type", kind, "--revision", earlier, "--local-dir", folder],
        ["hf", "upload", name, folder, ".", "--type", kind, "--delete", "*"],
    )
    return " && ".join(map(shlex.join, commands))


def delete(repository: Repository) -> str:
    """Return the command that deletes a repository with all that is in it."""
    return shlex.join(["hf", "repos", "delete", repository.name, "--type", repository.kind, "--yes"])


def delete_files(repository: Repository, pattern: str) -> str:
    """Return the command that deletes the files of a repository whose paths fit a pattern, and nothing else."""
    return shlex.join(["hf", "repos", "delete-files", repository.name, pattern, "--type", repository.kind])
