import {
  type AdmissionHandler,
  createReviewHandler,
  type NamespaceOverrides,
  type ReviewHandlerDeps,
} from './admission/handler.ts';
import type { ReviewPolicy } from './admission/policy.ts';
import { createEnsureBackup, type EnsureBackup } from './cloner/ensure-backup.ts';
import { type Copies, createCopies } from './cloner/queue/index.ts';
import type { RegistryHealth } from './cloner/registry-health/index.ts';
import type {
  BackupCredentials,
  CredentialSource,
  ImageCloner,
  Logger,
  Observer,
  WorkloadSecrets,
} from './ports/index.ts';
import { monotonicClock } from './util/clock.ts';

export interface AdmissionHandlerDeps {
  readonly cloner: ImageCloner;
  readonly policy: ReviewPolicy;
  /** @default anonymous */
  readonly sourceCredentials?: CredentialSource;
  /** The pull secrets of workloads. @default pull secrets are not read */
  readonly workloadSecrets?: WorkloadSecrets;
  /** @default namespaces override nothing */
  readonly overrides?: NamespaceOverrides;
  /** @default anonymous */
  readonly backupCredentials?: BackupCredentials;
  /** Shared with the shutdown, which waits for running copies. @default four copies at once */
  readonly copies?: Copies;
  /** @default false */
  readonly pinDigests?: boolean;
  /** @default false */
  readonly adoptExisting?: boolean;
  /** `CLUSTER_ID` distinguishes clusters that share a backup. @default all clusters without an ID are one */
  readonly clusterId?: string;
  /** Whether private images are copied to a backup that anonymous clients can read. @default deny */
  readonly privateToPublic?: 'deny' | 'allow';
  /** @default no log */
  readonly logger?: Logger;
  /** @default no metrics */
  readonly observer?: Observer;
  /** Monotonic milliseconds, for durations. */
  readonly now?: () => number;
  /** Milliseconds since 1970, for timestamps in the backup. @default the system clock */
  readonly wallClock?: () => number;
  /** What is known about registries, for the status page. @default its own */
  readonly registryHealth?: RegistryHealth;
  /** Schedules background work. @default after two seconds */
  readonly soon?: (work: () => Promise<void>) => void;
}

const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const noObserver: Observer = { reviewed() {}, cloned() {}, backupAnswered() {} };

/** Composes the review handler with the clone policy and its adapters. */
export function createAdmissionHandler(deps: AdmissionHandlerDeps): AdmissionHandler {
  const { policy, workloadSecrets, overrides } = deps;
  const telemetry = toTelemetry(deps);
  const ensureBackup = toEnsureBackup(deps);
  return createReviewHandler({ ...telemetry, ensureBackup, policy, workloadSecrets, overrides });
}

/** The clone policy as the handler uses it, for commands that plan reviews themselves. */
export function toEnsureBackup(deps: Omit<AdmissionHandlerDeps, 'policy'>): EnsureBackup {
  const telemetry = toTelemetry(deps);
  return createEnsureBackup({
    ...telemetry,
    cloner: deps.cloner,
    copies: deps.copies ?? createCopies({ now: telemetry.now }),
    sourceCredentials: deps.sourceCredentials ?? { credentialsFor: () => Promise.resolve([]) },
    workloadSecrets: deps.workloadSecrets,
    backupCredentials: deps.backupCredentials ?? (() => Promise.resolve(undefined)),
    pinDigests: deps.pinDigests ?? false,
    adoptExisting: deps.adoptExisting ?? false,
    clusterId: deps.clusterId ?? '',
    privateToPublic: deps.privateToPublic ?? 'deny',
    wallClock: deps.wallClock,
    registryHealth: deps.registryHealth,
    ...(deps.soon !== undefined && { soon: deps.soon }),
  });
}

type Telemetry = Pick<ReviewHandlerDeps, 'logger' | 'observer' | 'now'>;

function toTelemetry({
  logger = silentLogger,
  observer = noObserver,
  now = monotonicClock.now,
}: Pick<AdmissionHandlerDeps, keyof Telemetry>): Telemetry {
  return { logger, observer, now };
}
