# Any image with a Node of 22.20 or newer. This one has no shell and no npm; what it has to be is said in README.
ARG BASE=gcr.io/distroless/nodejs24-debian13
FROM ${BASE}

ARG BASE
ARG VERSION=""
ARG REVISION=""
# BuildKit puts it in place of the hour of the build; older builders have no such thing, and only the layers are the same with them.
ARG SOURCE_DATE_EPOCH
LABEL org.opencontainers.image.title="image-cloner" \
      org.opencontainers.image.description="Kubernetes admission webhook that copies public images into your own registry" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# Distroless has its Node outside of PATH.
ENV PATH=/usr/local/bin:/usr/bin:/bin:/nodejs/bin \
    NODE_ENV=production

# The bundle of `npm run build` is complete: there is nothing to install. All that .dockerignore leaves is dist/, which comes with its
# own time stamp that way; a folder that COPY makes has the hour of the build, and the layer another digest each time.
COPY . /

# By number: then Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/dist/webhook.js"]
