import * as v from 'valibot';
import { find } from '../kubectl.ts';
import type { DeploySettings } from '../settings.ts';

const crd = v.object({
  metadata: v.object({ labels: v.optional(v.record(v.string(), v.string()), {}) }),
  spec: v.object({ versions: v.array(v.object({ name: v.string(), served: v.boolean() })) }),
});

const serviceKind = 'services.serving.knative.dev';
const mappingKind = 'domainmappings.serving.knative.dev';
const claimKind = 'clusterdomainclaims.networking.internal.knative.dev';
const versionLabel = 'app.kubernetes.io/version';
/** Older CRDs of Knative silently remove hostPath volumes. */
const hostPathSince = '1.17';

/** Finds a missing Knative Serving, or one that is too old for the settings. */
export async function findMissingKnative({
  variant,
  install: { wiring },
}: DeploySettings): Promise<readonly string[]> {
  const kinds = [serviceKind, ...(wiring === 'gateway' ? [mappingKind, claimKind] : [])];
  const crds = await Promise.all(kinds.map((kind) => find('customresourcedefinition', kind)));
  const absent = kinds.filter((_, index) => crds[index] === undefined);
  if (absent.length > 0) {
    return [`the cluster does not have ${absent.join(', ')}: install Knative Serving`];
  }
  const [service, mapping] = crds;
  return [
    variant === 'docker' ? tooOldForHostPath(service) : undefined,
    wiring === 'gateway' ? tooOldForMapping(mapping) : undefined,
  ].filter((problem) => problem !== undefined);
}

/** A development build, with `devel` or a date as its version, counts as new enough. */
function tooOldForHostPath(definition: unknown): string | undefined {
  const version = v.parse(crd, definition).metadata.labels[versionLabel] ?? '';
  return isOlder(version, hostPathSince)
    ? `Knative Serving is ${version}, but the docker socket needs ${hostPathSince} or newer: upgrade it, or set CLONER=registry, which needs no socket`
    : undefined;
}

function tooOldForMapping(definition: unknown): string | undefined {
  const { versions } = v.parse(crd, definition).spec;
  return versions.some(({ name, served }) => name === 'v1beta1' && served)
    ? undefined
    : 'Knative Serving does not serve DomainMapping v1beta1: upgrade it to 1.0 or newer, or set WIRING=direct, which needs none';
}

/** Compares `MAJOR.MINOR…`; a version of another form is not older. */
export function isOlder(version: string, than: string): boolean {
  const [major, minor] = parseVersion(version) ?? [Infinity, 0];
  const [minMajor, minMinor] = parseVersion(than) ?? [0, 0];
  return major < minMajor || (major === minMajor && minor < minMinor);
}

/** Rejects dates such as `v20260801-abcdef`. */
function parseVersion(text: string): readonly [number, number] | undefined {
  const match = /^v?(\d{1,3})\.(\d{1,4})(?:\.|$)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}
