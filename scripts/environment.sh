# Sourced by the other scripts: enters a virtual environment, made in .venv unless one is active, and installs into it.
# usage: install_into_environment EXTRAS   (such as "[test]", or "" for none)

# Print the first Python on the path that is new enough; a name there may be a shim for a version that is not installed.
find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed, and none was found on the path" >&2
  return 1
}

install_into_environment() {
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    if [ ! -x .venv/bin/python ]; then
      local python
      python=$(find_python)
      "$python" -m venv .venv
    fi
    # shellcheck disable=SC1091
    . .venv/bin/activate
  fi
  python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".$1"
}
