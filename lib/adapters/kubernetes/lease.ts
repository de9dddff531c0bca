import { createHash } from 'node:crypto';
import { type V1Lease, V1MicroTime } from '@kubernetes/client-node';
import * as v from 'valibot';
import type { CopyLease, CopyReading, StoredLease } from '../../ports/index.ts';

/** By which ours are found among the Leases of a namespace. */
export const leaseLabels = { 'app.kubernetes.io/managed-by': 'image-cloner' } as const;

const annotation = {
  target: 'image-cloner/target',
  sourceDigest: 'image-cloner/source-digest',
  progress: 'image-cloner/progress',
} as const;

/** For people and tools: nobody compares it with a clock, see `lib/cloner/replicas/lease-watch.ts`. */
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

/** A target has characters that no name may have, and may be too long for one. */
export function leaseName(target: string): string {
  return `image-cloner-${createHash('sha256').update(target).digest('hex').slice(0, 32)}`;
}

/**
 * Both say which one is meant: of a Lease that is gone the API server would make a new one when it is replaced by
 * `resourceVersion` alone (Leases are one of the few kinds that an update may create).
 */
export function formatVersion(metadata: {
  readonly uid?: string;
  readonly resourceVersion?: string;
}): string {
  return `${metadata.uid ?? ''}/${metadata.resourceVersion ?? ''}`;
}

/** As the API server takes it, for preconditions too. */
export function parseVersion(version: string): {
  readonly uid: string;
  readonly resourceVersion: string;
} {
  const [uid = '', resourceVersion = ''] = version.split('/');
  return { uid, resourceVersion };
}

/** The whole object; `version` makes it a replacement of exactly that one. */
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
      // Always another one: the API server gives a write that changes nothing no new version.
      renewTime: new V1MicroTime(now),
    },
  };
}

/** Whole numbers: people read it, too. */
function formatReading({ now, ...reading }: CopyReading): string {
  const { phase, doneBytes, totalBytes } = now ?? {};
  const whole = Object.entries(reading).map(([name, value]) => [name, Math.round(value)]);
  return JSON.stringify({ ...Object.fromEntries(whole), phase, doneBytes, totalBytes });
}

/** `undefined` where it is not as we write them. */
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
