# Images for docker-compose.yml: `proxy` is stock Envoy with our modules, `mesh` has the applications and writes the
# proxies' configuration, `fluentd` is Fluentd with support for Elasticsearch. Also the output of `make release` without a
# compiler: docker build --target release -o dist/release .

ARG ENVOY_VERSION=1.40.0
ARG RUST_VERSION=1.92

FROM rust:${RUST_VERSION}-bookworm AS build
RUN rustup component add rust-src
WORKDIR /src
COPY . .
RUN scripts/build.sh && cargo build --profile quick -p remixer-cli --bin remixer

FROM build AS packed
ARG IMAGES=registry.example.com/remixer
RUN IMAGES=$IMAGES scripts/release.sh

FROM scratch AS release
COPY --from=packed /src/dist/release/ /

FROM envoyproxy/envoy:v${ENVOY_VERSION} AS proxy
COPY --from=build --chmod=644 /src/dist/*.wasm /var/local/remixer/

FROM debian:bookworm-slim AS mesh
COPY --from=build /src/target/quick/remixer /usr/local/bin/remixer
# Writing the configuration only checks that these files exist.
COPY --from=build --chmod=644 /src/dist/*.wasm /var/local/remixer/
ENTRYPOINT ["remixer"]

FROM fluent/fluentd:v1.17-debian-1 AS fluentd
USER root
RUN gem install --no-document elasticsearch:8.15.0 fluent-plugin-elasticsearch:5.4.3
# Only root can read Docker's log files, so the user stays root.
COPY tools/local-mesh/compose/fluent.conf /fluentd/etc/fluent.conf
