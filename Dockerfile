# The hub as an image: docs/deploy.md.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
# `default` puts in Looker's side too: the page, `send`, `check`, `record`.
ARG FEATURES=sftp
# The image's build sees no repository.
ARG SENDOFF_COMMIT
RUN cargo build --release --locked -p sendoff-cli --no-default-features --features "$FEATURES"

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /source/target/release/sendoff /usr/local/bin/sendoff
# Fails the build where the binary does not run in this image.
RUN ["sendoff", "--version"]
ENV SENDOFF_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s CMD ["sendoff", "ready"]
LABEL org.opencontainers.image.title="Sendoff" \
      org.opencontainers.image.description="A Looker action hub" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
ENTRYPOINT ["sendoff"]
CMD ["serve"]
