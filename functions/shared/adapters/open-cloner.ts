import type { OnStale } from '../../../lib/adapters/file-reloader.ts';
import type { Metrics } from '../../../lib/adapters/metrics.ts';
import type { RegistryCloner } from '../../../lib/adapters/registry/index.ts';
import { cacheResolve } from '../../../lib/cloner/source/index.ts';
import type { ConfigReading } from '../../../lib/config/config.ts';
import type { ImageCloner, Logger } from '../../../lib/index.ts';
import { monotonicClock } from '../../../lib/util/clock.ts';
import { type Env, isInsideCluster, readProxies } from '../settings/environment.ts';

export interface ClonerOptions {
  readonly reading: ConfigReading;
  readonly env: Env;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Receives whether the docker daemon answers. @default the daemon is not watched */
  readonly onDaemonAnswer?: (isUp: boolean) => void;
}

/** A cloner that is opened at its first use. */
export interface LazyCloner {
  readonly cloner: ImageCloner;
  /** Opens it before its first use. */
  readonly load: () => Promise<unknown>;
}

/** SDKs load slowly, so only the one in use is imported; undici, if possible, after the webhook is ready. */
export async function openCloner(options: ClonerOptions): Promise<LazyCloner> {
  const { reading, env, logger, onDaemonAnswer: onAnswer } = options;
  const { config } = reading;
  if (config.cloner === 'docker') {
    const { createDockerCloner, openDaemon, watchDaemon } = await import(
      '../../../lib/adapters/docker/index.ts'
    );
    const docker = await openDaemon({ dockerHost: config.dockerHost, logger });
    const cloner = createDockerCloner({ docker });
    const watched =
      onAnswer === undefined ? cloner : watchDaemon(cloner, { docker, onAnswer, logger });
    return toLoaded(cacheResolve(watched, { now: monotonicClock.now }));
  }
  const { registryCaFile, platforms } = config;
  // A wrong file or proxy must be reported at start.
  const isChecked = registryCaFile !== undefined || readProxies(env) !== undefined;
  // The policy asks at once how platforms are selected.
  return isChecked || platforms.length > 0
    ? toLoaded(await openRegistry(options))
    : createLazyCloner(() => openRegistry(options));
}

async function openRegistry(options: ClonerOptions): Promise<RegistryCloner> {
  const { reading, env, metrics, logger } = options;
  const { config } = reading;
  const { openRegistryCloner, openCaBundle } = await import(
    '../../../lib/adapters/registry/index.ts'
  );
  const { backup, formerBackups, insecureRegistries, sourceRegistries } = config;
  const { registryCaFile: file } = config;
  const formerHosts = formerBackups.map(({ domain }) => domain);
  const onStale: OnStale = (isStale) => metrics.fileIsStale('REGISTRY_CA_FILE', isStale);
  return openRegistryCloner({
    configuredHosts: [backup.domain, ...formerHosts, ...sourceRegistries],
    insecureRegistries,
    trust: file === undefined ? undefined : await openCaBundle({ file, logger, onStale }),
    maxImageBytes: config.maxImageBytes,
    platforms: config.platforms,
    insideCluster: isInsideCluster(env),
    proxy: readProxies(env),
    onResponse: (response) => metrics.answered(response),
    onConnect: (host) => metrics.connected(host),
  });
}

function toLoaded(cloner: ImageCloner): LazyCloner {
  return { cloner, load: () => Promise.resolve() };
}

/** For an adapter whose modules load slowly and whose opening cannot fail because of the configuration. */
export function createLazyCloner(open: () => Promise<RegistryCloner>): LazyCloner {
  let opened: Promise<RegistryCloner> | undefined;

  function load(): Promise<RegistryCloner> {
    opened ??= open().catch((error: unknown) => {
      // The next use tries again.
      opened = undefined;
      throw error;
    });
    return opened;
  }

  return {
    load,
    cloner: {
      resolve: async (...args) => await (await load()).resolve(...args),
      copy: async (...args) => await (await load()).copy(...args),
      findReferrers: async (...args) => await (await load()).findReferrers(...args),
      isComplete: async (...args) => await (await load()).isComplete(...args),
      mark: async (...args) => await (await load()).mark(...args),
      listTags: async (...args) => await (await load()).listTags(...args),
    },
  };
}
