set minimum-version := "1.57.0"

# The Node version that `npm ci` installs.
export PATH := justfile_directory() / "node_modules/.bin:" + env("PATH")

# The image that `just build` makes. `just deploy` reads IMAGE itself: it keeps every setting that the environment does not have.
image := env("IMAGE", "image-cloner:v1")

# One command has all that follow; NAME --help explains one.
image-cloner := "node functions/cli/main.ts"

# Makes the bundle and the layer reproducible per commit; with BuildKit the time stamps of the image too.
export SOURCE_DATE_EPOCH := env("SOURCE_DATE_EPOCH", `git log -1 --format=%ct 2>/dev/null || echo 0`)
export REVISION := env("REVISION", `git rev-parse HEAD 2>/dev/null || true`)

# list recipes
help:
    @just --list --unsorted

# install dependencies from the lock file
[group("dev")]
install:
    npm ci

# run the webhook from source, configured by the environment
[group("dev")]
run *FLAGS:
    npm start -- {{ FLAGS }}

# format all files
[group("dev")]
format:
    npm run format
    just --fmt

# run all checks before a commit: format, lint, types, unused code, tests
[group("check")]
check:
    npm run check

# run the type-aware linter
[group("check")]
lint:
    npm run check:lint

# run the unit and contract tests: no network, no docker, no cluster
[group("check")]
test:
    npm test

# run the tests and list uncovered lines and uncalled functions by file: for reading, not a gate
[group("check")]
coverage:
    npm run coverage

# run the tests against real servers; needs KUBEBUILDER_ASSETS, dockerd, docker-registry and root
[group("check")]
test-real:
    npm run test:real

# record the AdmissionReviews of test/fixtures/reviews from a real kube-apiserver
[group("check")]
record-reviews:
    npm run record-reviews

# bundle the webhook into dist/
[group("image")]
bundle:
    npm run build

# build the container image; BASE names another base image with Node
[group("image")]
build: bundle
    docker build --build-arg BASE --build-arg SOURCE_DATE_EPOCH --build-arg REVISION --build-arg VERSION=$(node --print 'require("./package.json").version') --tag {{ quote(image) }} .

# write certificates, TLS Secret and webhook configuration into certs/, for who wants files: `just deploy` needs none
[group("cluster")]
gen:
    {{ image-cloner }} gen

# install into the cluster, or change an installation; registers the webhook last, when the API server can call it
[group("cluster")]
[positional-arguments]
deploy *ARGS:
    {{ image-cloner }} deploy "$@"

# print what deploy would apply, as one YAML stream: just render --without-ca
[group("cluster")]
[positional-arguments]
render *ARGS:
    {{ image-cloner }} render "$@"

# show the state of each part; exits with 1 if one is not good
[group("cluster")]
[positional-arguments]
status *ARGS:
    {{ image-cloner }} status "$@"

# remove what deploy installed, the webhook first; keeps copies and workloads
[group("cluster")]
[positional-arguments]
undeploy *ARGS:
    {{ image-cloner }} undeploy "$@"

# copy images into the backup: just clone nginx:1.27, or - for a list on standard input
[group("cluster")]
[positional-arguments]
clone *ARGS:
    {{ image-cloner }} clone "$@"

# print manifests with their images replaced by copies: just rewrite deployment.yaml, or standard input
[group("cluster")]
[positional-arguments]
rewrite *ARGS:
    @{{ image-cloner }} rewrite "$@"

# list running workloads of opted-in namespaces; --apply copies their images and lets the webhook rewrite them
[group("cluster")]
[positional-arguments]
backfill *ARGS:
    {{ image-cloner }} backfill "$@"

# would every workload start if all public registries were gone? exits with 1 if one would not
[group("cluster")]
[positional-arguments]
verify *ARGS:
    {{ image-cloner }} verify "$@"

# list workloads to restore to their original images; --apply restores and opts them out
[group("cluster")]
[positional-arguments]
restore *ARGS:
    {{ image-cloner }} restore "$@"

# let a namespace pull from the backup, and the webhook read its pull secrets; REGISTRY_AUTH_DIR holds username and password, BACKUP_PULL_SECRET names the Secret
[group("cluster")]
pull-secret NAMESPACE:
    #!/usr/bin/env bash
    set -euo pipefail
    # Uses a pipe, because every user of this machine can read argument lists.
    {{ image-cloner }} pull-secret | kubectl --namespace '{{ NAMESPACE }}' apply --filename -

# list the generations of an image in the backup: just generations IMAGE; reads the webhook's variables (REGISTRY, REGISTRY_AUTH_DIR, …)
[group("backup")]
[positional-arguments]
generations *ARGS:
    {{ image-cloner }} generations "$@"

# point a tag of the backup to an older generation and hold it there: just rollback IMAGE DIGEST; --release instead of DIGEST ends the hold
[group("backup")]
[positional-arguments]
rollback *ARGS:
    {{ image-cloner }} rollback "$@"

# list generations beyond KEEP_GENERATIONS; --apply removes them, --used FILE lists images in use
[group("backup")]
[positional-arguments]
prune *ARGS:
    {{ image-cloner }} prune "$@"
