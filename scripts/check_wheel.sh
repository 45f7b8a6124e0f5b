#!/usr/bin/env bash
# Builds the sdist and the wheel, and uses the wheel as somebody would who has nothing else: an evaluation, a row on a
# board, its pages and pictures, in an environment of its own and outside of the source tree.
#
#   bash scripts/check_wheel.sh            quick, as in continuous integration: the new environment sees the dependencies
#                                          that the present one has, and the evaluation has one seed
#   bash scripts/check_wheel.sh --empty    before a release: the new environment is empty, and pip brings the dependencies
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH # which might lead back into the source tree

echo "== the sdist builds the wheel that the source tree builds"
python -m hatchling build --directory "$work/dist" >/dev/null
mkdir "$work/unpacked"
tar --extract --gzip --file "$work"/dist/*.tar.gz --directory "$work/unpacked" --strip-components 1
(cd "$work/unpacked" && python -m hatchling build --target wheel --directory "$work/again" >/dev/null)
cmp "$work"/dist/*.whl "$work"/again/*.whl
ls -l "$work"/dist | awk 'NR > 1 { printf "%s: %.1f MB\n", $NF, $5 / 1e6 }'

echo "== the wheel is installed in an environment of its own"
python -m venv "$work/environment"
if [ "${1:-}" = --empty ]; then
  "$work/environment/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt "$work"/dist/*.whl
  seeds=3
else
  present=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  home=$("$work/environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "$present" >"$home/dependencies.pth" # after the environment's own, and without the .pth files in it
  "$work/environment/bin/pip" install --quiet --disable-pip-version-check --no-deps "$work"/dist/*.whl
  seeds=1
fi
# shellcheck disable=SC1091
. "$work/environment/bin/activate"

mkdir "$work/empty"
cd "$work/empty"
export PDEFM_CACHE="$work/cache" HF_HUB_OFFLINE=1
python - "$root" <<'PYTHON'
import sys
import pdebench_fm

assert not pdebench_fm.__file__.startswith(sys.argv[1]), f"{pdebench_fm.__file__} is in the source tree"
PYTHON
examples=$(python -c 'from pdebench_fm.shipped import shipped; print(shipped("examples"))')

run() {
  echo "== $*"
  "$@" >"$work/output" 2>&1 || { cat "$work/output" && exit 1; }
}
run pdefm eval --model fno-mixed-64k --task poisson-ood/medium --shots 32 --track lite --seeds "$seeds" # as in quickstart.sh
run pdefm plot results/ --kind shots --out shots.svg
run pdefm leaderboard rank
run pdefm leaderboard build --out site/ --no-pictures
grep --quiet --recursive fno-mixed-64k site/
run pdefm submit results/ --to board/
run pdefm leaderboard verify board/
run pdefm leaderboard build --from board/ --out own-site/ --no-pictures
run pdefm eval --model "$examples/my_model.py" --smoke
run pdefm data build poisson --regime in-domain --train 4 --validation 4 --test 4 --resolution 64 --out data/
run pdefm data verify data/poisson

page=docs/get-started.md # from nothing to a verified row on a board of one's own
echo "== $page, as it is pasted"
python - "$root" "$page" >"$work/pasted.sh" <<'PYTHON'
import sys
from pathlib import Path

root, page = map(Path, sys.argv[1:])
sys.path.insert(0, str(root / "tests"))
from snippets import snippets_of

for snippet in snippets_of(root / page):
    if snippet.is_run:
        print(snippet.code if snippet.language == "bash" else f"python - <<'PASTED'\n{snippet.code}PASTED")
PYTHON
mkdir pasted
(cd pasted && bash -e -o pipefail "$work/pasted.sh") >"$work/output" 2>&1 || { cat "$work/output" && exit 1; }
grep --quiet "^passed results/pdebench-fm/fno-mixed-64k/poisson-ood--medium-lite" "$work/output"
test -s pasted/site/index.html

test -s shots.svg -a -s own-site/index.html -a -s data/poisson/README.md
echo "the wheel works"
