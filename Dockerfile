# Both programs in one small image: `docker compose` runs it twice. No shell and no root in it.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/ ./worker ./starter && mkdir /out/data

FROM busybox:1.37-musl AS busybox

FROM gcr.io/distroless/static-debian12:nonroot
# The health checks ask /readyz with it: busybox is whatever it is called.
COPY --from=busybox /bin/busybox /usr/local/bin/wget
COPY --from=build /out/worker /out/starter /usr/local/bin/
# A volume that is mounted here for the first time takes over the owner.
COPY --from=build --chown=nonroot:nonroot /out/data /data
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/starter"]
