# syntax=docker/dockerfile:1

FROM rust:1.95-slim-trixie AS build
# jemalloc and aws-lc (TLS) are built from C.
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# .cargo sets how jemalloc is built; benches are named in Cargo.toml, so cargo wants to see them.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin remora \
 && install -D target/release/remora /out/remora

# The same Debian as above: the program needs its libc and libgcc_s, and nothing else.
FROM debian:trixie-slim
COPY --from=build /out/remora /usr/local/bin/remora
# In a container the network is the fence: clients and probes come from outside of it. In a pod, bind clients to
# loopback again (deploy/sidecar.yaml).
ENV REMORA_BIND="* -::*" \
    REMORA_PROTECTED_MODE=no \
    REMORA_METRICS_ADDR="0.0.0.0:9121"
WORKDIR /tmp
USER 65532:65532
EXPOSE 6379 9121
# No HEALTHCHECK: the program has no command for it and the image no curl. Ask /live and /ready on port 9121.
ENTRYPOINT ["/usr/local/bin/remora"]
