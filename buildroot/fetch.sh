#!/bin/sh
# fetch.sh: brings what the build must not fetch by itself: Go's modules into
# vendor/, and the inference runtime and the weights into models/, each by hash.
set -eu
cd "$(dirname "$0")/.."
go mod vendor
CGO_ENABLED=0 go run -mod=mod ./inference/models/fetch -dir buildroot/models -arch "${ARCH:-arm64}"
