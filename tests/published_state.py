"""What tests of publishing look at: the state of a repository, and what was asked of the Hub."""

NAME = "pde-lab/helmholtz-ood"
SHARDS = [
    f"{regime}/{split}-00000-of-00001.parquet"
    for regime in ("mild", "medium")
    for split in ("train", "validation", "test")
]


def state(api, name=NAME):
    """Commit, files with their identities, and tags of a repository."""
    info = api.dataset_info(name, files_metadata=True)
    files = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings}
    return info.sha, files, {tag.name: tag.target_commit for tag in api.list_repo_refs(name, repo_type="dataset").tags}


def files_of(folder):
    """The files of a build without its own records of how it went."""
    paths = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path.as_posix() for path in paths if path.parts[0] != ".build"}


def writes(hub):
    """Requests that may change something."""
    asking = ("/paths-info/", "/validate-yaml", "/preupload/")
    return [r for r in hub.requests if r.method not in ("GET", "HEAD") and not any(part in r.path for part in asking)]
