set minimum-version := "1.57.0"

# The Node that `npm ci` brought.
export PATH := justfile_directory() / "node_modules/.bin:" + env("PATH")

# What these and README's other variables are set to in the environment wins.
# IMAGE must name a registry that the nodes can pull from; CLONER is docker or registry, WIRING is gateway or direct, GATEWAY is kourier, contour or istio.
export IMAGE := env("IMAGE", "image-cloner:v1")
export CLONER := env("CLONER", "docker")
export WIRING := env("WIRING", "gateway")
export GATEWAY := env("GATEWAY", "kourier")

# The same commit makes the same bundle and the same layer. The image's own time stamps are the builder's: BuildKit goes by this too.
export SOURCE_DATE_EPOCH := env("SOURCE_DATE_EPOCH", `git log -1 --format=%ct 2>/dev/null || echo 0`)
export REVISION := env("REVISION", `git rev-parse HEAD 2>/dev/null || true`)

# list recipes
help:
    @just --list --unsorted

# install what the project needs, from the lock
[group("dev")]
install:
    npm ci

# run the webhook from source; configuration comes from the environment
[group("dev")]
run *FLAGS:
    npm start -- {{ FLAGS }}

# format everything
[group("dev")]
format:
    npm run format
    just --fmt

# everything before a commit: format, lint, types, unused code, tests
[group("check")]
check:
    npm run check

# lint, type-aware
[group("check")]
lint:
    npm run check:lint

# unit and contract tests: no network, no docker, no cluster
[group("check")]
test:
    npm test

# the same promises against real servers; needs KUBEBUILDER_ASSETS, dockerd, docker-registry and root
[group("check")]
test-real:
    npm run test:real

# record the AdmissionReviews of test/fixtures/reviews anew from a real kube-apiserver
[group("check")]
record-reviews:
    npm run record-reviews

# bundle the webhook into dist/
[group("image")]
bundle:
    npm run build

# container image; BASE names another base image with a Node
[group("image")]
build: bundle
    docker build --build-arg BASE --build-arg SOURCE_DATE_EPOCH --build-arg REVISION --build-arg VERSION=$(node --print 'require("./package.json").version') --tag {{ quote(IMAGE) }} .

# certificates, TLS secret and webhook configuration, into certs/
[group("cluster")]
gen:
    npm run gen

# put everything into the cluster; the webhook is registered last, when the API server can call it
[group("cluster")]
deploy:
    node --import tsx functions/deploy/main.ts deploy

# how each part is doing; not 0 where one is not well
[group("cluster")]
status:
    node --import tsx functions/deploy/main.ts status

# take out what deploy put in, the webhook first; copies and workloads stay
[confirm("Take image-cloner out of this cluster?")]
[group("cluster")]
undeploy:
    node --import tsx functions/deploy/main.ts undeploy

# copy images into the backup by hand, or before they are needed: just clone nginx:1.27, or - for a list on standard input
[group("cluster")]
[positional-arguments]
clone *ARGS:
    node --import tsx functions/clone/main.ts "$@"

# what runs already, in opted-in namespaces: a table; with --apply it is copied, and the webhook rewrites it
[group("cluster")]
[positional-arguments]
backfill *ARGS:
    node --import tsx functions/backfill/main.ts "$@"

# the original images again, and the label that keeps them so: a table; with --apply it is done
[group("cluster")]
[positional-arguments]
restore *ARGS:
    node --import tsx functions/restore/main.ts "$@"

# let a namespace pull from the backup, and let the webhook read that namespace's pull secrets: REGISTRY_AUTH_DIR holds username and password, BACKUP_PULL_SECRET names the secret
[group("cluster")]
pull-secret NAMESPACE:
    #!/usr/bin/env bash
    set -euo pipefail
    # By pipes only: what stands in an argument list is for everybody on this machine to read.
    node --import tsx functions/pull-secret/main.ts | kubectl --namespace '{{ NAMESPACE }}' apply --filename -

# what the backup has of an image, with the webhook's own variables: REGISTRY, REGISTRY_AUTH_DIR, …
[group("backup")]
generations IMAGE:
    node --import tsx functions/generations/main.ts generations {{ quote(IMAGE) }}

# make a tag of the backup hold an older generation, DIGEST, and hold it there; --release ends that
[group("backup")]
rollback IMAGE DIGEST:
    node --import tsx functions/generations/main.ts rollback {{ quote(IMAGE) }} {{ quote(DIGEST) }}

# report generations beyond KEEP_GENERATIONS; --apply removes them, --used FILE names what is in use
[group("backup")]
[positional-arguments]
prune *IMAGES:
    node --import tsx functions/generations/main.ts prune "$@"
