# Sourced by the other scripts: enters a virtual environment, made in .venv unless one is active, and installs into it.
# usage: install_into_environment EXTRAS   (such as "[test]", or "" for none)

install_into_environment() {
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    if [ ! -x .venv/bin/python ]; then
      local python
      python=$(command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3) || {
        echo "Python 3.11 or newer is needed, and no python3 was found" >&2
        return 1
      }
      "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Python 3.11 or newer is needed; $python is $("$python" --version 2>&1)" >&2
        return 1
      }
      "$python" -m venv .venv
    fi
    # shellcheck disable=SC1091
    . .venv/bin/activate
  fi
  python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".$1"
}
