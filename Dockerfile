# Any image with Node 22.20 or newer works. The default one has no shell and no npm; README lists the requirements.
ARG BASE=gcr.io/distroless/nodejs24-debian13
FROM ${BASE}

ARG BASE
ARG VERSION=""
ARG REVISION=""
# BuildKit uses it instead of the build time; with older builders only the layers are reproducible.
ARG SOURCE_DATE_EPOCH
LABEL org.opencontainers.image.title="image-cloner" \
      org.opencontainers.image.description="Kubernetes admission webhook that copies public images into your own registry" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# Distroless installs Node outside of PATH.
ENV PATH=/usr/local/bin:/usr/bin:/bin:/nodejs/bin \
    NODE_ENV=production

# The bundle of `npm run build` is complete. .dockerignore leaves only dist/, so that COPY keeps its time stamp; a folder that
# COPY creates would have the build time, and the layer a new digest each time.
COPY . /

# A number, so that Kubernetes can verify runAsNonRoot.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# The webhook, or the command that an argument names: `docker run IMAGE clone nginx:1.27`.
ENTRYPOINT ["node", "/dist/image-cloner.js"]
