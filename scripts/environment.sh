# Makes .venv in the project's root with the given extras; for the scripts beside this one to source.
# Usage: source scripts/environment.sh; make_environment cpu[,test]

make_environment() {
    local extras="$1" python="${PYTHON:-}" candidate marker
    if [ ! -x .venv/bin/python ]; then
        for candidate in $python python3.11 python3.12 python3; do
            if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
                python="$candidate"
                break
            fi
            python=""
        done
        if [ -z "$python" ]; then
            echo "error: Python 3.11 or 3.12 is needed. Install it, or name it with PYTHON=/path/to/python." >&2
            return 1
        fi
        echo "Making .venv with $($python --version)"
        if ! "$python" -m venv .venv; then
            echo "error: $python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2
            return 1
        fi
    fi
    # Installed once for each state of setup.cfg and each set of extras.
    marker=".venv/installed-${extras//,/-}-$(cksum < setup.cfg | tr ' ' '-')"
    if [ ! -e "$marker" ]; then
        echo "Installing imgcls[$extras]"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extras]"
        touch "$marker"
    fi
}
