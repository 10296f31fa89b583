# The image of `perdure starter`, `perdure worker` and `perdure migrate`. The embedded Temporal server of `perdure dev`
# is not in it: these commands use a Temporal cluster.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/perdure ./cmd/perdure
RUN mkdir /out/data

# Nothing but the program and the certificate authorities that providers and MCP servers are checked against.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/perdure /perdure
# A named volume mounted here starts with this folder's owner.
COPY --from=build --chown=65532:65532 /out/data /var/lib/perdure
USER 65532:65532
VOLUME /var/lib/perdure
EXPOSE 8080
# No HEALTHCHECK: only the starter serves HTTP. Where it runs, `/perdure healthcheck URL` is the probe.
ENTRYPOINT ["/perdure"]
