#!/bin/sh
# Installs Backstay with an extra into a virtual environment: tools/install.sh PYTHON EXTRA
# On Linux the default index serves PyTorch with gigabytes of CUDA libraries. The CPU build of 200 MB is enough here,
# so it is asked for first; where its index cannot be reached, the configured index serves what it has.
set -eu
python=$1
extra=$2
torch=$(grep '^torch==' constraints.txt)
pip="$python -m pip --disable-pip-version-check --quiet"
have() { "$python" -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").split("+")[0] != sys.argv[1])' "${torch#torch==}" 2>/dev/null; }

if ! have && [ "$(uname -s)" = Linux ] && [ -z "${BACKSTAY_TORCH_INDEX-unset}" ]; then
    echo "PyTorch: from the configured index (BACKSTAY_TORCH_INDEX is empty)"
elif ! have && [ "$(uname -s)" = Linux ]; then
    echo "PyTorch: asking for the CPU build"
    $pip install --no-deps --retries 0 --timeout 20 \
        --index-url "${BACKSTAY_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" "$torch" 2>/dev/null ||
        echo "PyTorch: its CPU index cannot be reached; the configured index will serve it"
fi
echo "Installing Backstay [$extra] (a minute or so)"
$pip install --constraint constraints.txt --editable ".[$extra]"
if [ "$extra" = dev ]; then
    # An oracle for the tests of losses. Its dependencies (torchvision among them) are not needed for that.
    $pip install --constraint constraints.txt --no-deps lightly
fi
