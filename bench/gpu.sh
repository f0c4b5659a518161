#!/usr/bin/env bash
# The benchmark `gpu` for a machine without .NET: a self-contained program in one file, without libtorch, which is that of the Python there.
#
#   bench/gpu.sh publish [folder]     here: makes the folder (by default artifacts/gpu), with this script in it; copy it to the machine with the GPU
#   ./gpu.sh [--quick] [out=folder]   there: runs it with the libtorch of the Python that PYTHON names (by default python3); PyTorch 2.10 fits
#
# Ends with 0 where all results are right, 3 where there is no CUDA device, 4 where a result is wrong.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" = publish ]; then
    folder=${2:-$here/../artifacts/gpu}
    dotnet publish "$here/Bench.csproj" -c Release -r linux-x64 --self-contained -p:PublishSingleFile=true -p:IncludeNativeLibrariesForSelfExtract=true \
        -p:EnableCompressionInSingleFile=true -p:DebugType=none -p:TorchBackend=none -p:CopyLocalLockFileAssemblies=true -o "$folder"
    rm -f "$folder"/*.xml "$folder"/*.pdb "$folder"/*.dbg
    cp "$here/gpu.sh" "$folder/"
    du -sh "$folder"
    exit
fi

python=${PYTHON:-python3}
export PYTHON=$python
export LIBTORCH=${LIBTORCH:-$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')}
echo "libtorch of $LIBTORCH"
"$python" -c 'import torch; print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no device")' || true
exec "$here/MlNetMlp.Bench" gpu "$@"
