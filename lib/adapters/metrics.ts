import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Observer } from '../ports/index.ts';

export interface MetricsOptions {
  readonly adapter: string;
  readonly copies: () => { readonly running: number; readonly waiting: number };
  /** Hosts that an administrator named: they have a label of their own, whoever was asked before. @default none */
  readonly hosts?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface Metrics extends Observer {
  /** One answer of a registry. */
  answered(answer: {
    readonly host: string;
    readonly method: string;
    readonly status: number;
    /** From `ratelimit-remaining`. */
    readonly remaining: number | undefined;
  }): void;
  /** What a variable names cannot be read any more, so that what was read last is in use; or it can again. */
  fileIsStale(variable: FileVariable, isStale: boolean): void;
  /** When the certificate that is served ends. */
  certificateExpires(at: Date): void;
  /** The text that Prometheus reads. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** The variables that name what is read again while we run. */
type FileVariable = 'REGISTRY_AUTH_DIR' | 'SOURCE_AUTH_FILE' | 'REGISTRY_CA_FILE' | 'TLS_CERT_FILE';

/** Kinds and operations are few, unless somebody posts reviews of his own. */
const knownKinds = new Set([
  'Pod',
  'Deployment',
  'DaemonSet',
  'StatefulSet',
  'ReplicaSet',
  'ReplicationController',
  'Job',
  'CronJob',
  'PodTemplate',
  'Service',
  'Configuration',
]);
const knownOperations = new Set(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']);
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
/** Whoever writes a manifest chooses a registry: beyond that many, hosts are one. */
const maxHosts = 50;
const otherHosts = 'other';
/** Whoever has fifty hosts of his own asked first must not hide the limits of these. */
const wellKnownHosts = [
  'registry-1.docker.io',
  'auth.docker.io',
  'ghcr.io',
  'quay.io',
  'registry.k8s.io',
  'gcr.io',
  'public.ecr.aws',
  'mcr.microsoft.com',
];

const reviewBuckets = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const cloneBuckets = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900];

/** Prometheus metrics, `image_cloner_…`; no label has values that a workload's author can invent without bound. */
export function createMetrics({
  adapter,
  copies,
  hosts: configured = [],
  now = Date.now,
}: MetricsOptions): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const named: ReadonlySet<string> = new Set([...wellKnownHosts, ...configured]);
  const hosts = new Set<string>();

  const reviews = new Counter({
    name: 'image_cloner_reviews_total',
    help: 'Reviews answered.',
    labelNames: ['kind', 'operation', 'verdict'],
    registers,
  });
  const reviewSeconds = new Histogram({
    name: 'image_cloner_review_seconds',
    help: 'Time from a review to its answer.',
    buckets: reviewBuckets,
    registers,
  });
  const clones = new Counter({
    name: 'image_cloner_clones_total',
    help: 'Images that a review needed, by what became of them; a copy counts once for all who waited for it.',
    labelNames: ['adapter', 'result', 'reason'],
    registers,
  });
  const cloneSeconds = new Histogram({
    name: 'image_cloner_clone_seconds',
    help: 'Time that copies took.',
    buckets: cloneBuckets,
    registers,
  });
  const bytes = new Counter({
    name: 'image_cloner_copied_bytes_total',
    help: 'Bytes moved into the backup.',
    registers,
  });
  const requests = new Counter({
    name: 'image_cloner_registry_requests_total',
    help: 'Requests to registries.',
    labelNames: ['host', 'method', 'status'],
    registers,
  });
  const remaining = new Gauge({
    name: 'image_cloner_rate_limit_remaining',
    help: 'What a registry said is left of its rate limit.',
    labelNames: ['host'],
    registers,
  });
  const backupUp = new Gauge({
    name: 'image_cloner_backup_up',
    help: '1 where the backup registry gave a usable answer when it was last asked.',
    registers,
  });
  const stale = new Gauge({
    name: 'image_cloner_stale_files',
    help: '1 where what a variable names cannot be read any more, and what was read last is in use.',
    labelNames: ['variable'],
    registers,
  });
  const certificateExpiry = new Gauge({
    name: 'image_cloner_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that we serve ends.',
    registers,
  });
  const lastReview = new Gauge({
    name: 'image_cloner_last_review_timestamp_seconds',
    help: 'When a review was last answered.',
    registers,
  });
  // They begin with 0, which would be an alarm in every process that has not asked yet, or a day in 1970.
  for (const late of [backupUp, certificateExpiry, lastReview]) late.remove();
  const inFlight = new Gauge({
    name: 'image_cloner_clones_in_flight',
    help: 'Copies that run.',
    registers,
  });
  const waiting = new Gauge({
    name: 'image_cloner_clones_waiting',
    help: 'Copies that wait for their turn.',
    registers,
  });

  let lastReviewAt: number | undefined;

  function toHost(host: string): string {
    if (hosts.has(host) || named.has(host)) return host;
    if (hosts.size >= maxHosts) return otherHosts;
    hosts.add(host);
    return host;
  }

  return {
    reviewed({ kind, operation, verdict, seconds }) {
      const labels = {
        kind: known(kind, knownKinds),
        operation: known(operation, knownOperations),
      };
      reviews.inc({ ...labels, verdict });
      reviewSeconds.observe(seconds);
      lastReviewAt = now();
    },
    cloned({ result, reason, seconds, bytes: moved }) {
      clones.inc({ adapter, result, reason });
      if (result !== 'copied') return;
      cloneSeconds.observe(seconds);
      bytes.inc(moved);
    },
    backupAnswered(isUp) {
      backupUp.set(isUp ? 1 : 0);
    },
    answered({ host, method, status, remaining: left }) {
      const label = toHost(host);
      requests.inc({ host: label, method: known(method, knownMethods), status: toStatus(status) });
      // What is left of many limits is no number.
      if (left !== undefined && label !== otherHosts) remaining.set({ host: label }, left);
    },
    fileIsStale(variable, isStale) {
      stale.set({ variable }, isStale ? 1 : 0);
    },
    certificateExpires(at) {
      certificateExpiry.set(at.getTime() / 1000);
    },
    render() {
      const counts = copies();
      inFlight.set(counts.running);
      waiting.set(counts.waiting);
      if (lastReviewAt !== undefined) lastReview.set(lastReviewAt / 1000);
      return register.metrics();
    },
    contentType: register.contentType,
  };
}

/** A hostile registry may say 700, and 701 next time. */
function toStatus(status: number): string {
  return status >= 100 && status < 600 ? String(status) : 'other';
}

function known(value: string, values: ReadonlySet<string>): string {
  return values.has(value) ? value : 'other';
}
