#!/bin/sh
# Generates the Python stubs of every OpenHermit service into clients/python/gen (not committed).
# Needs protoc and the gRPC plugin. On Debian:
#   apt-get install protobuf-compiler protobuf-compiler-grpc libprotobuf-dev python3-grpcio python3-protobuf
# generate.sh [FOLDER]: writes into FOLDER instead.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
out=${1:-$here/gen}
plugin=$(command -v grpc_python_plugin) || {
  echo 'generate.sh: grpc_python_plugin is missing. On Debian: apt-get install protobuf-compiler-grpc' >&2
  exit 1
}
mkdir -p "$out"
cd "$root/proto"
# shellcheck disable=SC2046
protoc -I . -I ../third_party/proto --python_out="$out" --plugin=protoc-gen-grpc_python="$plugin" \
  --grpc_python_out="$out" $(find openhermit -name '*.proto') buf/validate/validate.proto
