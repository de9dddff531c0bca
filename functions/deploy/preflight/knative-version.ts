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
/** Before, Knative's own CRD took hostPath volumes away without a word. */
const hostPathSince = '1.17';

/** Knative Serving absent, or too old for what is asked of it. */
export async function findMissingKnative({
  variant,
  install: { wiring },
}: DeploySettings): Promise<readonly string[]> {
  const kinds = [serviceKind, ...(wiring === 'gateway' ? [mappingKind, claimKind] : [])];
  const crds = await Promise.all(kinds.map((kind) => find('customresourcedefinition', kind)));
  const absent = kinds.filter((_, index) => crds[index] === undefined);
  if (absent.length > 0) {
    return [
      `${absent.join(', ')} ${absent.length === 1 ? 'is' : 'are'} unknown here: install Knative Serving`,
    ];
  }
  const [service, mapping] = crds;
  return [
    ...(variant === 'docker' ? tooOldForHostPath(service) : []),
    ...(wiring === 'gateway' ? tooOldForMapping(mapping) : []),
  ];
}

/** A build without a version says `devel` or a date, and gets the benefit of the doubt. */
function tooOldForHostPath(found: unknown): readonly string[] {
  const version = v.parse(crd, found).metadata.labels[versionLabel] ?? '';
  return isOlder(version, hostPathSince)
    ? [
        `Knative Serving is ${version}, and the docker socket needs ${hostPathSince} or newer: upgrade it, or set CLONER=registry, which needs no socket`,
      ]
    : [];
}

function tooOldForMapping(found: unknown): readonly string[] {
  const { versions } = v.parse(crd, found).spec;
  return versions.some(({ name, served }) => name === 'v1beta1' && served)
    ? []
    : [
        'Knative Serving has no DomainMapping of v1beta1: upgrade it to 1.0 or newer, or set WIRING=direct, which needs none',
      ];
}

/** Both `MAJOR.MINOR…`; what has no such form is not older than anything. */
export function isOlder(version: string, than: string): boolean {
  const [major, minor] = parseVersion(version) ?? [Infinity, 0];
  const [wantedMajor, wantedMinor] = parseVersion(than) ?? [0, 0];
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

/** Not a date, such as `v20260801-abcdef`. */
function parseVersion(text: string): readonly [number, number] | undefined {
  const match = /^v?(\d{1,3})\.(\d{1,4})(?:\.|$)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}
