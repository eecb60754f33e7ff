# Both programs in a small image that runs as nobody in particular.
#
#   docker build -t cartorio-ca .
#
# docs/operating.md tells how to run it.
# Where no registry is at hand, name other images: --build-arg BUILD_IMAGE=… --build-arg RUNTIME_IMAGE=…
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked -p ca-server -p ca-cli

FROM ${RUNTIME_IMAGE}
COPY --from=build /build/target/release/ca-server /build/target/release/ca-cli /usr/local/bin/
# Who vouches for AWS, and for other servers that are asked by HTTPS; the slim image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A number and no name: a volume's owner can be set without this image, and nothing else is added but the two programs.
RUN install -d -m 0700 -o 10001 -g 10001 /data
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
