# Both programs in a small image that runs as nobody in particular.
#
#   docker build -t cartorio-ca .
#   docker run -v ca-data:/data -p 8443:8443 -p 8080:8080 cartorio-ca init
#
# Where no registry is at hand, name other images: --build-arg BUILD_IMAGE=… --build-arg RUNTIME_IMAGE=…
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked -p ca-server -p ca-cli

FROM ${RUNTIME_IMAGE}
COPY --from=build /build/target/release/ca-server /build/target/release/ca-cli /usr/local/bin/
# A fixed number, so that a volume's owner can be set without this image; no home, no shell, no password.
RUN groupadd --system --gid 10001 ca \
    && useradd --system --uid 10001 --gid ca --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ca \
    && install -d -m 0700 -o ca -g ca /data
USER 10001:10001
WORKDIR /data
VOLUME /data
# The listeners must be reachable from outside of the container; admin stays within.
ENV CA__DATA_DIR=/data \
    CA__LISTEN__API=0.0.0.0:8443 \
    CA__LISTEN__PUBLIC=0.0.0.0:8080
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["ca-server"]
CMD ["serve"]
