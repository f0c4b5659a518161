#!/bin/sh
# Fuzzes the loading of models by AFL++ (apt-get install afl++) and SharpFuzz: afl.sh SECONDS FOLDER [ENTRY]
# FOLDER gets the instrumented program, the seeds and the findings. With an ENTRY, such as network.json, the fuzzer gives that entry of a sound model and not the whole file.
set -eu
seconds=$1
folder=$2
entry=${3:-}
here=$(dirname "$0")

mkdir -p "$folder"
dotnet publish -c Release "$here/Fuzz.csproj" -o "$folder/program" --nologo -v quiet
dotnet "$folder/program/MlNetMlp.Fuzz.dll" seeds "$folder/seeds" $entry
command -v sharpfuzz > /dev/null || dotnet tool install --tool-path "$folder/tools" SharpFuzz.CommandLine --version 2.3.0
PATH=$folder/tools:$PATH sharpfuzz "$folder/program/MlNetMlp.Extensions.dll"

# A .NET program is none that AFL++ has compiled; what it cannot know of the machine's settings for crashes does not matter to exceptions.
export AFL_SKIP_BIN_CHECK=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_SKIP_CPUFREQ=1 AFL_NO_UI=1
timeout "$seconds" afl-fuzz -i "$folder/seeds" -o "$folder/findings" -t 10000 -m none -- dotnet "$folder/program/MlNetMlp.Fuzz.dll" afl ${entry:+"$folder/seeds.sound" "$entry"} || true
grep -E 'run_time|execs_done|edges_found|corpus_count|saved_crashes|saved_hangs' "$folder/findings/default/fuzzer_stats"
