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
    # Installed once for each state of setup.cfg, of the locks and each set of extras.
    marker=".venv/installed-${extras//,/-}-$(cat setup.cfg scripts/locked/* | cksum | tr ' ' '-')"
    if [ ! -e "$marker" ]; then
        echo "Installing imgcls[$extras]"
        install_locked "$extras" || return 1
        touch "$marker"
    fi
}

# The exact versions of scripts/locked/, whose hashes are compared; where they are of another Python, machine or
# setup.cfg, or cannot be had, whatever versions setup.cfg allows. A file with another hash than the lock's is the end.
install_locked() {
    local extras="$1" python=.venv/bin/python build lock log=.venv/locked.log
    local pip="$python -m pip install --quiet --disable-pip-version-check"
    if ! build="$($python scripts/lock.py build)" || ! lock="$($python scripts/lock.py "$extras")"; then
        echo "warning: versions are not locked: ${lock:-$build}." >&2
    elif $pip --require-hashes -r "$build" 2> "$log" &&
        $pip --require-hashes --no-build-isolation -r "$lock" 2>> "$log" &&
        $pip --no-deps --no-build-isolation -e . 2>> "$log"; then
        return 0
    else
        cat "$log" >&2
        if grep -q "DO NOT MATCH THE HASHES" "$log"; then
            echo "error: a package is not the one that $lock names. Nothing of it was installed." >&2
            return 1
        fi
        echo "warning: what $lock names cannot be installed; going on with other versions." >&2
    fi
    $pip -e ".[$extras]"
}
