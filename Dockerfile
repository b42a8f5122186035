# Images of the operator and of the consumer. `npm run images` makes what is copied here and builds both; BASE must have Node 24 or
# later at /nodejs/bin/node. No RUN anywhere: the base has no shell, and nothing here needs one.
ARG BASE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BASE} AS common
ARG VERSION=0.1.0
ARG REVISION=unknown
# Address of the repository.
ARG SOURCE=""
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="StreamPipeline"
ENV NODE_ENV=production
WORKDIR /app
# By number, so that a kubelet can check runAsNonRoot.
USER 65532:65532

FROM common AS operator
ARG OPERATOR_V8_FLAGS="--max-semi-space-size=4 --max-old-space-size=256"
# Why these of malloc's: build/v8flags.ts.
ENV NODE_OPTIONS="${OPERATOR_V8_FLAGS}" MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TOP_PAD_=16384
LABEL org.opencontainers.image.title="streampipeline-operator" \
      org.opencontainers.image.description="Reconciles StreamPipelines: consumers, their scaling, their status"
COPY operator/ /app/
EXPOSE 8080 8081
ENTRYPOINT ["/nodejs/bin/node", "/app/bin/operator.mjs"]

FROM common AS consumer
ARG CONSUMER_V8_FLAGS="--max-semi-space-size=4 --max-old-space-size=96"
ENV NODE_OPTIONS="${CONSUMER_V8_FLAGS}" MALLOC_ARENA_MAX=1
LABEL org.opencontainers.image.title="streampipeline-consumer" \
      org.opencontainers.image.description="Forwards the entries of a Redis Stream into a BullMQ queue, once per idempotency key"
COPY consumer/ /app/
EXPOSE 9090
ENTRYPOINT ["/nodejs/bin/node", "/app/bin/consumer.mjs"]
