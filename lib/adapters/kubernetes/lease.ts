import { createHash } from 'node:crypto';
import { type V1Lease, V1MicroTime, type V1ObjectMeta } from '@kubernetes/client-node';
import * as v from 'valibot';
import type { CopyLease, CopyReading, StoredLease } from '../../ports/index.ts';

/** Selects image-cloner's own Leases in a namespace. */
export const leaseLabels = { 'app.kubernetes.io/managed-by': 'image-cloner' } as const;

const annotation = {
  target: 'image-cloner/target',
  sourceDigest: 'image-cloner/source-digest',
  progress: 'image-cloner/progress',
} as const;

/** Informative only: replicas do not compare it with a clock, see `lib/cloner/replicas/lease-watch.ts`. */
const leaseDurationSeconds = 15;

const count = v.pipe(v.number(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

const progressSchema = v.pipe(
  v.string(),
  v.maxLength(1_000),
  v.parseJson(),
  v.object({
    elapsedMs: count,
    idleMs: count,
    bytesPerSecond: v.optional(count),
    remainingMs: v.optional(count),
    phase: v.optional(v.picklist(['pull', 'push', 'copy'])),
    doneBytes: v.optional(count, 0),
    totalBytes: v.optional(count, 0),
  }),
);

const leaseSchema = v.object({
  metadata: v.object({
    uid: v.string(),
    resourceVersion: v.string(),
    annotations: v.object({
      [annotation.target]: v.string(),
      [annotation.sourceDigest]: v.string(),
      [annotation.progress]: progressSchema,
    }),
  }),
  spec: v.object({ holderIdentity: v.string() }),
});

/** A hash, because a target can be too long and contain characters that a Lease name cannot. */
export function leaseName(target: string): string {
  return `image-cloner-${createHash('sha256').update(target).digest('hex').slice(0, 32)}`;
}

type Version = Pick<V1ObjectMeta, 'uid' | 'resourceVersion'>;

/**
 * Contains the uid because the API server allows an update to create a Lease: a replacement that names only the
 * `resourceVersion` would create a deleted Lease again.
 */
export function formatVersion({ uid = '', resourceVersion = '' }: Version): string {
  return `${uid}/${resourceVersion}`;
}

/** The fields for `metadata` and for preconditions. */
export function parseVersion(version: string): Version {
  const [uid = '', resourceVersion = ''] = version.split('/');
  return { uid, resourceVersion };
}

/** Builds the object; `version` makes it a replacement of exactly that version. */
export function toLease(lease: CopyLease, now: number, version?: string): V1Lease {
  const { holder, target, sourceDigest, reading } = lease;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: leaseName(target),
      labels: leaseLabels,
      annotations: {
        [annotation.target]: target,
        [annotation.sourceDigest]: sourceDigest,
        [annotation.progress]: formatReading(reading),
      },
      ...(version !== undefined && parseVersion(version)),
    },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds,
      // Must differ per write: the API server gives no new version to a write without a change.
      renewTime: new V1MicroTime(now),
    },
  };
}

/** Rounds numbers, because people read this annotation too. */
function formatReading({ now, ...reading }: CopyReading): string {
  const { phase, doneBytes, totalBytes } = now ?? {};
  const whole = Object.entries(reading).map(([name, value]) => [name, Math.round(value)]);
  return JSON.stringify({ ...Object.fromEntries(whole), phase, doneBytes, totalBytes });
}

/** Returns `undefined` for a Lease that image-cloner did not write. */
export function parseLease(lease: unknown): StoredLease | undefined {
  const parsed = v.safeParse(leaseSchema, lease);
  if (!parsed.success) return undefined;
  const { metadata, spec } = parsed.output;
  const { phase, doneBytes, totalBytes, bytesPerSecond, remainingMs, ...times } =
    metadata.annotations[annotation.progress];
  return {
    holder: spec.holderIdentity,
    target: metadata.annotations[annotation.target],
    sourceDigest: metadata.annotations[annotation.sourceDigest],
    reading: {
      ...times,
      ...(phase !== undefined && { now: { phase, doneBytes, totalBytes } }),
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
      ...(remainingMs !== undefined && { remainingMs }),
    },
    version: formatVersion(metadata),
  };
}
