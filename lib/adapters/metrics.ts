import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Observer } from '../ports/index.ts';

export interface MetricsOptions {
  readonly adapter: string;
  readonly copies: () => { readonly running: number; readonly waiting: number };
  /** Hosts of the configuration, which always have their own label. @default none */
  readonly hosts?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface Metrics extends Observer {
  /** One response of a registry. */
  answered(answer: {
    readonly host: string;
    readonly method: string;
    readonly status: number;
    /** From `ratelimit-remaining`. */
    readonly remaining: number | undefined;
  }): void;
  /** One new connection to a registry. */
  connected(host: string): void;
  /** Whether the docker daemon answered the last ping. */
  daemonAnswered(isUp: boolean): void;
  /** Whether the file of `variable` can no longer be read, so that its last valid content is in use. */
  fileIsStale(variable: FileVariable, isStale: boolean): void;
  /** A Kubernetes Event was written, dropped because of a limit, or failed. */
  eventEnded(result: 'written' | 'dropped' | 'failed'): void;
  /** Expiry of the serving certificate. */
  certificateExpires(at: Date): void;
  /** The Prometheus text format. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** The variables whose files are reloaded at run time. */
type FileVariable = 'REGISTRY_AUTH_DIR' | 'SOURCE_AUTH_FILE' | 'REGISTRY_CA_FILE' | 'TLS_CERT_FILE';

/** Bounds the labels: a forged review can contain any kind and operation. */
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
/** Bounds the labels: the authors of workloads choose registries. */
const maxOtherHosts = 50;
const other = 'other';
/** Always labelled, so that invented hosts cannot hide the rate limits of these. */
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

/** Prometheus metrics, `image_cloner_…`; the number of label values is bounded. */
export function createMetrics({
  adapter,
  copies,
  hosts: configured = [],
  now = Date.now,
}: MetricsOptions): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const hosts = new Set([...wellKnownHosts, ...configured]);
  const maxHosts = hosts.size + maxOtherHosts;

  const reviews = new Counter({
    name: 'image_cloner_reviews_total',
    help: 'Answered reviews.',
    labelNames: ['kind', 'operation', 'verdict'],
    registers,
  });
  const reviewSeconds = new Histogram({
    name: 'image_cloner_review_seconds',
    help: 'Time from a review to its response.',
    buckets: reviewBuckets,
    registers,
  });
  const clones = new Counter({
    name: 'image_cloner_clones_total',
    help: 'Images of reviews by result; a copy that several reviews waited for counts once.',
    labelNames: ['adapter', 'result', 'reason'],
    registers,
  });
  const cloneSeconds = new Histogram({
    name: 'image_cloner_clone_seconds',
    help: 'Duration of copies.',
    buckets: cloneBuckets,
    registers,
  });
  const bytes = new Counter({
    name: 'image_cloner_copied_bytes_total',
    help: 'Bytes copied into the backup.',
    registers,
  });
  const events = new Counter({
    name: 'image_cloner_events_total',
    help: 'Kubernetes Events: written, dropped because of a limit, or failed.',
    labelNames: ['result'],
    registers,
  });
  const requests = new Counter({
    name: 'image_cloner_registry_requests_total',
    help: 'Requests to registries.',
    labelNames: ['host', 'method', 'status'],
    registers,
  });
  const connections = new Counter({
    name: 'image_cloner_registry_connections_total',
    help: 'New connections to registries.',
    labelNames: ['host'],
    registers,
  });
  const remaining = new Gauge({
    name: 'image_cloner_rate_limit_remaining',
    help: 'Remaining requests of a rate limit, as the registry reports it.',
    labelNames: ['host'],
    registers,
  });
  const backupUp = new Gauge({
    name: 'image_cloner_backup_up',
    help: '1 if the last request to the backup registry succeeded.',
    registers,
  });
  const daemonUp = new Gauge({
    name: 'image_cloner_daemon_up',
    help: '1 if the docker daemon answered the last ping; absent with CLONER=registry.',
    registers,
  });
  const stale = new Gauge({
    name: 'image_cloner_stale_files',
    help: '1 if the file of a variable can no longer be read and its last valid content is in use.',
    labelNames: ['variable'],
    registers,
  });
  const certificateExpiry = new Gauge({
    name: 'image_cloner_certificate_expiry_timestamp_seconds',
    help: 'Expiry of the serving certificate.',
    registers,
  });
  const lastReview = new Gauge({
    name: 'image_cloner_last_review_timestamp_seconds',
    help: 'Time of the last answered review.',
    registers,
  });
  // Unset gauges report 0, which would mean an outage or a date in 1970.
  for (const gauge of [backupUp, daemonUp, certificateExpiry, lastReview]) gauge.remove();
  const inFlight = new Gauge({
    name: 'image_cloner_clones_in_flight',
    help: 'Running copies.',
    registers,
  });
  const waiting = new Gauge({
    name: 'image_cloner_clones_waiting',
    help: 'Queued copies.',
    registers,
  });

  function toHost(host: string): string {
    if (!hosts.has(host) && hosts.size >= maxHosts) return other;
    hosts.add(host);
    return host;
  }

  return {
    reviewed({ kind, operation, verdict, seconds }) {
      reviews.inc({
        kind: orOther(kind, knownKinds),
        operation: orOther(operation, knownOperations),
        verdict,
      });
      reviewSeconds.observe(seconds);
      lastReview.set(now() / 1000);
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
    eventEnded: (result) => events.inc({ result }),
    daemonAnswered(isUp) {
      daemonUp.set(isUp ? 1 : 0);
    },
    answered({ host, method, status, remaining: left }) {
      const label = toHost(host);
      requests.inc({
        host: label,
        method: orOther(method, knownMethods),
        status: toStatus(status),
      });
      // Hosts that share a label have different limits.
      if (left !== undefined && label !== other) remaining.set({ host: label }, left);
    },
    connected(host) {
      connections.inc({ host: toHost(host) });
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
      return register.metrics();
    },
    contentType: register.contentType,
  };
}

/** Bounds the labels: a hostile registry can send any number. */
function toStatus(status: number): string {
  return status >= 100 && status < 600 ? String(status) : other;
}

function orOther(value: string, known: ReadonlySet<string>): string {
  return known.has(value) ? value : other;
}
