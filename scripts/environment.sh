# Makes .venv in the project's root with the given extras; for the scripts beside this one to source.
# Usage: source scripts/environment.sh; make_environment cpu[,test] [directory]
# Where there is no Python but 3.13, for which PaddlePaddle 2.6.2 has no wheel, extras are those of PaddlePaddle 3.

make_empty_environment() {
    local directory="$1" python="${PYTHON:-}" candidate
    [ ! -x "$directory/bin/python" ] || return 0
    for candidate in $python python3.11 python3.12 python3.13 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            python="$candidate"
            break
        fi
        python=""
    done
    if [ -z "$python" ]; then
        echo "error: Python 3.11, 3.12 or 3.13 is needed. Install it, or name it with PYTHON=/path/to/python." >&2
        return 1
    fi
    echo "Making $directory with $($python --version)"
    if ! "$python" -m venv "$directory"; then
        echo "error: $python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2
        return 1
    fi
}

make_environment() {
    local extras="$1" directory="${2:-.venv}" marker
    make_empty_environment "$directory" || return 1
    if "$directory/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 13))'; then
        extras=$(sed -E 's/\b(cpu|test)\b/\13/g' <<< "$extras")
    fi
    # Installed once for each state of setup.cfg, of the locks and each set of extras.
    marker="$directory/installed-${extras//,/-}-$(cat setup.cfg scripts/locked/* | cksum | tr ' ' '-')"
    if [ ! -e "$marker" ]; then
        echo "Installing imgcls[$extras]"
        install_locked "$extras" "$directory" || return 1
        touch "$marker"
    fi
}

# The exact versions of scripts/locked/, whose hashes are compared; where they are of another Python, machine or
# setup.cfg, or cannot be had, whatever versions setup.cfg allows. A file with another hash than the lock's is the end.
install_locked() {
    local extras="$1" python="$2/bin/python" build lock log="$2/locked.log"
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
