#!/usr/bin/env bash
# Downloads ImageNet (ILSVRC 2012), verifies it, unpacks it and writes its lists: bash scripts/download_imagenet.sh <directory>
# Needs an account at image-net.org (IMAGENET_USERNAME, IMAGENET_ACCESS_KEY; asked for when not set) and 300 GB.
# May be stopped at any time: started again, it goes on where it was.
# A mirror: IMAGENET_URL=https://..., and IMAGENET_MD5SUMS=<file> with the output of md5sum there.
set -euo pipefail
scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

if [ $# -ne 1 ] || [[ "$1" == -* ]]; then
    echo "usage: bash scripts/download_imagenet.sh <directory>   needs 300 GB there" >&2
    exit 2
fi
url="${IMAGENET_URL:-https://image-net.org/data/ILSVRC/2012}"
train=ILSVRC2012_img_train.tar
val=ILSVRC2012_img_val.tar
devkit=ILSVRC2012_devkit_t12.tar.gz
md5sums="1d675b47d978889d74fa0da5fadfb00e  $train
29b22e2961454d5413ddabcf34fc5622  $val
fa75699e90414af021442c21a62c3abf  $devkit"
if [ -n "${IMAGENET_MD5SUMS:-}" ]; then md5sums="$(cat "$IMAGENET_MD5SUMS")"; fi

fail() {
    echo "error: $*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" "$scripts/../.venv/bin/python" python3; do
        if [ -n "$candidate" ] && PYTHONPATH="$scripts/.." "$candidate" -c "import imgcls.data.formats.folder" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "No Python with imgcls is found. Run scripts/test.sh or scripts/quickstart.sh once, or set PYTHON."
}

ask_credentials() {
    if [ -n "${IMAGENET_USERNAME:-}" ] && [ -n "${IMAGENET_ACCESS_KEY:-}" ]; then return; fi
    echo "ImageNet is given to holders of an account at https://image-net.org who have accepted its terms."
    read -r -p "User name: " IMAGENET_USERNAME || true # nobody to ask
    read -r -s -p "Access key: " IMAGENET_ACCESS_KEY || true
    echo
    if [ -z "$IMAGENET_USERNAME" ] || [ -z "$IMAGENET_ACCESS_KEY" ]; then
        fail "Both are needed. They can be given as IMAGENET_USERNAME and IMAGENET_ACCESS_KEY."
    fi
}

# What curl reads from its standard input, so that no list of processes shows it.
credentials() {
    printf 'user = "%s:%s"\n' "$(escape "$IMAGENET_USERNAME")" "$(escape "$IMAGENET_ACCESS_KEY")"
}

escape() {
    printf '%s' "$1" | sed 's/[\\"]/\\&/g'
}

is_right() {
    local expected
    expected="$(awk -v name="$1" '$2 == name || $2 == "*" name { print $1 }' <<< "$md5sums")"
    if [ -z "$expected" ]; then fail "$IMAGENET_MD5SUMS has no md5sum of $1."; fi
    [ "$(md5sum < "$2" | cut -d ' ' -f 1)" = "$expected" ]
}

# A file has its own name once it is verified; until then it ends in .part.
fetch() {
    local name="$1" code status=0
    if [ -e "$name" ]; then return; fi
    ask_credentials
    echo "Downloading $name"
    code="$(credentials | curl --config - --fail --location --proto '=https,http' --retry 5 --retry-delay 3 \
        --speed-limit 1 --speed-time 60 --continue-at - --output "$name.part" --write-out '%{http_code}' \
        "$url/$name")" || status=$?
    case "$code" in
        401 | 403) fail "$url refuses this user name and access key (HTTP $code)." ;;
        416) ;; # nothing is left to download: the last step before was not taken
        *)
            if [ "$status" -ne 0 ]; then
                fail "$url/$name cannot be downloaded (HTTP $code, curl $status). Start again to go on where this ended."
            fi
            ;;
    esac
    echo "Verifying $name"
    if ! is_right "$name" "$name.part"; then
        rm -f "$name.part"
        fail "$name has not the right md5sum and was removed. Start again; if it recurs, the server has another file."
    fi
    mv "$name.part" "$name"
}

# One class after the other from the tar of tars, without a second copy of it on the disk.
unpack_train() {
    local member class
    mkdir -p train
    tar -tf "$train" | while read -r member; do
        class="$(basename "$member" .tar)"
        if [ -d "train/$class" ]; then continue; fi
        echo "Unpacking train/$class"
        rm -rf "train/.$class"
        mkdir "train/.$class"
        tar -xOf "$train" "$member" | tar -xf - -C "train/.$class" --no-same-owner
        mv "train/.$class" "train/$class"
    done
}

unpack_val() {
    if [ -d val ]; then return; fi
    echo "Unpacking val"
    rm -rf val.part
    mkdir val.part
    tar -xzf "$devkit" --no-same-owner
    tar -xf "$val" -C val.part --no-same-owner
    "$python" "$scripts/imagenet_val.py" ILSVRC2012_devkit_t12/data val.part
    mv val.part val
}

python="$(find_python)"
export PYTHONPATH="$scripts/..${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$1"
cd "$1"
fetch "$devkit"
fetch "$val"
fetch "$train"
unpack_train
unpack_val
"$python" "$scripts/make_list.py" .
echo "Done: data=list data.root=$PWD, or data=folder. The three archives may be deleted."
