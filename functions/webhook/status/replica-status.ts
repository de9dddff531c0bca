import type { Metrics } from '../../../lib/adapters/metrics.ts';
import type { Copies } from '../../../lib/cloner/queue/index.ts';
import type { RegistryHealth } from '../../../lib/cloner/registry-health/index.ts';
import type { Config, Logger } from '../../../lib/index.ts';
import { createJournal, toSections } from '../../../lib/status/index.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Env, isInsideCluster } from '../../shared/settings/environment.ts';
import { openStatusListener, type StatusListener } from './listener.ts';

/** What the status page needs of the webhook. */
interface StatusSources {
  readonly copies: Pick<Copies, 'list'>;
  readonly registryHealth: RegistryHealth;
  /** `host/namespace` */
  readonly backup: string;
  /** One line about the backup or the daemon, see `createOutages`. */
  readonly outage: () => string | undefined;
}

export interface ReplicaStatus {
  /** Metrics that also keep what the page shows. */
  readonly metrics: Metrics;
  /** Opens the page on loopback; `undefined` if it is switched off or its port is taken. */
  open(sources: StatusSources): Promise<StatusListener | undefined>;
}

export interface ReplicaStatusDeps {
  readonly config: Config;
  readonly env: Env;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** A monotonic clock. */
  readonly now: () => number;
}

/** Not one of the ports that Knative's queue-proxy uses. */
const podPort = 8081;

/** Keeps the last refusals and fallbacks, and composes the page when it is asked for. */
export function createReplicaStatus(deps: ReplicaStatusDeps): ReplicaStatus {
  const { config, env, metrics, logger, now } = deps;
  const startedAt = now();
  const journal = createJournal({ now });
  let certificateEnds: Date | undefined;

  return {
    metrics: {
      ...metrics,
      reviewEnded: journal.reviewEnded,
      certificateExpires(at) {
        certificateEnds = at;
        metrics.certificateExpires(at);
      },
    },
    async open({ copies, registryHealth, backup, outage }) {
      const port = config.statusPort ?? (isInsideCluster(env) ? podPort : 0);
      if (port === 0) return undefined;
      const readSections = (): ReturnType<typeof toSections> =>
        toSections({
          version: packageJson.version,
          name: env['HOSTNAME'] ?? 'of this machine',
          upMs: now() - startedAt,
          settings: toShownSettings(config, backup),
          copies: copies.list(),
          outages: [...registryHealth.describe(), outage() ?? []].flat(),
          refusals: journal.refusals(),
          fallbacks: journal.fallbacks(),
          ...(certificateEnds !== undefined && { certificateEnds }),
          now: now(),
        });
      return await openStatusListener({ port, readSections, logger });
    },
  };
}

/** Those that explain a refusal or a wait. */
function toShownSettings(
  { cloner, onError, onDeadline, maxClones, platforms, sourceRegistries }: Config,
  backup: string,
): Readonly<Record<string, string>> {
  return {
    backup,
    CLONER: cloner,
    ON_ERROR: onError,
    ON_DEADLINE: onDeadline,
    MAX_CLONES: String(maxClones),
    PLATFORMS: platforms.join(',') || 'all',
    SOURCE_REGISTRIES: sourceRegistries.join(',') || 'all',
  };
}
