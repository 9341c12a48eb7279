# syntax=docker/dockerfile:1
#
# One image per service, by target:
#
#   docker build --target operator -t <registry>/operator:1.18.0 .
#
# The images have no entry point, as upstream's: injectors put the program's path first among a sidecar's arguments.
#
# Targets: operator, injector, sentry, placement, daprd. With docker buildx, podman or buildah, `--platform linux/arm64`
# builds for that machine by cross-compiling; the default is the builder's own. All services are compiled once: what
# follows the first build only packs a binary.

ARG RUST=1.95.0
# Carries the C library and CA certificates; no shell, no package manager; runs as 65532.
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST}-bookworm AS build
ARG RUST
ARG TARGETARCH
ARG PROFILE=release
# The image's own toolchain is the pinned one: nothing is to be downloaded for rust-toolchain.toml's developer tools.
ENV RUSTUP_TOOLCHAIN=${RUST}
RUN set -eu; \
    here=$(dpkg --print-architecture); \
    there=${TARGETARCH:-$here}; \
    case "$there" in \
        amd64) triple=x86_64-unknown-linux-gnu; cross=x86-64-linux-gnu; linker=x86_64-linux-gnu-gcc ;; \
        arm64) triple=aarch64-unknown-linux-gnu; cross=aarch64-linux-gnu; linker=aarch64-linux-gnu-gcc ;; \
        *) echo "cannot build for $there, only for amd64 and arm64" >&2; exit 1 ;; \
    esac; \
    echo "$triple" >/triple; \
    if [ "$here" != "$there" ]; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends "gcc-$cross" "libc6-dev-$there-cross"; \
        rustup target add "$triple"; \
        printf '[target.%s]\nlinker = "%s"\n' "$triple" "$linker" >>"$CARGO_HOME/config.toml"; \
    fi
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    triple=$(cat /triple) \
    && cargo build --locked --profile "$PROFILE" --target "$triple" \
        --bin operator --bin injector --bin sentry --bin placement --bin daprd \
    && mkdir /out \
    && for service in operator injector sentry placement daprd; do \
        cp "target/$triple/$PROFILE/$service" /out/; \
    done

FROM ${BASE} AS base
USER 65532:65532
LABEL org.opencontainers.image.title="Trilby" \
      org.opencontainers.image.version="1.18.0" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM base AS operator
COPY --from=build /out/operator /operator
CMD ["/operator"]

FROM base AS injector
COPY --from=build /out/injector /injector
CMD ["/injector"]

FROM base AS sentry
COPY --from=build /out/sentry /sentry
CMD ["/sentry"]

FROM base AS placement
COPY --from=build /out/placement /placement
CMD ["/placement"]

FROM base AS daprd
COPY --from=build /out/daprd /daprd
CMD ["/daprd"]
