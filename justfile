set minimum-version := "1.57.0"

# The Node that `npm ci` brought.
export PATH := justfile_directory() / "node_modules/.bin:" + env("PATH")

image := env("IMAGE", "image-cloner:v1")

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

# certificates, TLS secret and webhook configuration, into certs/
[group("cluster")]
gen:
    npm run gen
