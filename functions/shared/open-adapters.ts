import { readFile } from 'node:fs/promises';
import { createPullSecrets } from '../../lib/adapters/credentials/pull-secrets.ts';
import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { openSourceAuthFile } from '../../lib/adapters/credentials/source-auth-file.ts';
import type { Metrics } from '../../lib/adapters/metrics.ts';
import { cacheResolve } from '../../lib/cloner/source/index.ts';
import { namespaceOfService, toBackupNamespace } from '../../lib/config/backup-registry.ts';
import type { ConfigReading } from '../../lib/config/config.ts';
import { ConfigError } from '../../lib/errors.ts';
import type {
  AdmissionHandlerDeps,
  Config,
  CredentialSource,
  Credentials,
  ImageCloner,
  Logger,
  ReviewPolicy,
  WorkloadSecrets,
} from '../../lib/index.ts';
import { excludedNamespaces } from '../../lib/install/excluded-namespaces.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import { type Certificates, readCertificates } from './certificates.ts';

/** What a configuration names, opened. */
export interface Parts {
  readonly policy: ReviewPolicy;
  readonly backupCredentials: () => Promise<Credentials>;
  readonly sourceCredentials: CredentialSource | undefined;
  readonly workloadSecrets: WorkloadSecrets | undefined;
  readonly cloner: ImageCloner;
  readonly certificates: Certificates | undefined;
}

export interface PartsOptions {
  readonly reading: ConfigReading;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Where a pod finds the name of its namespace. */
export const serviceAccountNamespace = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/**
 * Opens the files, the socket and the adapter. Rejects with one `ConfigError` that lists what is wrong with the variables and with all
 * that the right ones name: nobody has to start us twice to learn the second mistake.
 */
export async function openParts(options: PartsOptions): Promise<Parts> {
  const { reading, logger, metrics } = options;
  const { config, isValid, problems } = reading;
  const { sourceAuthFile, pullSecrets, tls } = config;
  const [backup, sourceCredentials, workloadSecrets, cloner, certificates] = await allOrProblems(
    [
      isValid('REGISTRY', 'REGISTRY_NAMESPACE') ? openBackup(options) : notLookedAt(),
      sourceAuthFile === undefined
        ? undefined
        : openSourceAuthFile({
            file: sourceAuthFile,
            logger,
            onStale: (isStale) => metrics.fileIsStale('SOURCE_AUTH_FILE', isStale),
          }),
      pullSecrets && config.cloner === 'registry' ? openPullSecrets(options) : undefined,
      isValid('CLONER', 'DOCKER_HOST') ? openCloner(options) : notLookedAt(),
      tls === undefined ? undefined : readCertificates(tls),
    ] as const,
    problems,
  );
  return { ...backup, sourceCredentials, workloadSecrets, cloner, certificates };
}

/** How images are copied: of the parts, and as configured. For every entrance that copies. */
export function toCloning(
  { cloner, backupCredentials, sourceCredentials, workloadSecrets }: Parts,
  { pinDigests, adoptExisting, privateToPublic, clusterId }: Config,
): Omit<AdmissionHandlerDeps, 'policy'> {
  return {
    cloner,
    backupCredentials,
    ...(sourceCredentials !== undefined && { sourceCredentials }),
    ...(workloadSecrets !== undefined && { workloadSecrets }),
    pinDigests,
    adoptExisting,
    privateToPublic,
    ...(clusterId !== undefined && { clusterId }),
  };
}

async function openBackup(
  options: PartsOptions,
): Promise<Pick<Parts, 'policy' | 'backupCredentials'>> {
  const { reading, logger, metrics } = options;
  const { registryAuthDir, backup } = reading.config;
  const backupCredentials = await openRegistryAuth({
    dir: registryAuthDir,
    registry: backup,
    logger,
    onStale: (isStale) => metrics.fileIsStale('REGISTRY_AUTH_DIR', isStale),
  });
  const { username } = await backupCredentials();
  return { backupCredentials, policy: await toPolicy(options, username) };
}

async function toPolicy({ reading, env }: PartsOptions, username: string): Promise<ReviewPolicy> {
  const { config } = reading;
  const { domain } = config.backup;
  const registryNamespace = namespaceOfService(domain);
  const name = env['K_SERVICE'];
  const own = (await readFile(serviceAccountNamespace, 'utf8').catch(() => undefined))?.trim();
  return {
    backup: {
      domain,
      namespace: toBackupNamespace(config.backup, username),
      naming: config.naming,
    },
    onError: config.onError,
    onDeadline: config.onDeadline,
    ignoreImages: config.ignoreImages,
    sourceRegistries: config.sourceRegistries,
    cloneOnlyOwners: config.cloneOnlyOwners,
    ...(config.backupPullSecret !== undefined && { backupPullSecret: config.backupPullSecret }),
    excludedNamespaces: [
      ...excludedNamespaces,
      ...(own === undefined ? [] : [own]),
      ...(registryNamespace === undefined ? [] : [registryNamespace]),
    ],
    ...(name !== undefined && own !== undefined && { ownService: { namespace: own, name } }),
  };
}

async function openPullSecrets({ reading, env, logger }: PartsOptions): Promise<WorkloadSecrets> {
  if (reading.config.clusterId === undefined) {
    logger.warn(
      {},
      'CLUSTER_ID is not set: if another cluster shares this backup, namespaces of one name share their private copies',
    );
  }
  const { openNamespaceReader } = await import('../../lib/adapters/kubernetes/index.ts');
  const kubeconfigFile = env['KUBECONFIG'];
  const insideCluster = isInsideCluster(env);
  const reader = await openNamespaceReader({ kubeconfigFile, insideCluster, logger });
  return createPullSecrets({ reader, logger, now: monotonicClock.now });
}

/** SDKs are slow to load: only the one that is used is. */
async function openCloner(options: PartsOptions): Promise<ImageCloner> {
  const { dockerHost, cloner } = options.reading.config;
  if (cloner === 'registry') return await openRegistry(options);
  const { logger } = options;
  const { createDockerCloner, openDaemon } = await import('../../lib/adapters/docker/index.ts');
  const docker = await openDaemon({ dockerHost, logger });
  return cacheResolve(createDockerCloner({ docker }), { now: monotonicClock.now });
}

async function openRegistry({ reading, env, metrics, logger }: PartsOptions): Promise<ImageCloner> {
  const { openRegistryCloner, openCaBundle } = await import('../../lib/adapters/registry/index.ts');
  const { backup, insecureRegistries, sourceRegistries, registryCaFile, maxImageBytes } =
    reading.config;
  return openRegistryCloner({
    configuredHosts: [backup.domain, ...sourceRegistries],
    insecureRegistries,
    trust:
      registryCaFile === undefined
        ? undefined
        : await openCaBundle({
            file: registryCaFile,
            logger,
            onStale: (isStale) => metrics.fileIsStale('REGISTRY_CA_FILE', isStale),
          }),
    maxImageBytes,
    insideCluster: isInsideCluster(env),
    proxy: readProxy(env),
    onResponse: (response) => metrics.answered(response),
  });
}

/** Whether we run in a pod: then nothing on loopback is ours. */
export function isInsideCluster(env: PartsOptions['env']): boolean {
  return env['KUBERNETES_SERVICE_HOST'] !== undefined;
}

/** The variables that every HTTP client reads, in either case, as everybody takes them. */
export function readProxy(
  env: PartsOptions['env'],
): { https: string; http: string; no: string } | undefined {
  const read = (name: string): string => env[name] ?? env[name.toLowerCase()] ?? '';
  const [https, http] = [read('HTTPS_PROXY'), read('HTTP_PROXY')];
  return https === '' && http === '' ? undefined : { https, http, no: read('NO_PROXY') };
}

/** For what only a wrong variable could name; that one has been told of. */
function notLookedAt(): Promise<never> {
  return Promise.reject(new ConfigError([]));
}

/** Everything that is wrong at the start is said at once, after the `problems` that are known already. */
async function allOrProblems<const Work extends readonly unknown[]>(
  work: Work,
  problems: readonly string[],
): Promise<{ -readonly [Index in keyof Work]: Awaited<Work[Index]> }> {
  const settled = await Promise.allSettled(work);
  const found = settled.flatMap((result) =>
    result.status === 'rejected' && result.reason instanceof ConfigError
      ? result.reason.problems
      : [],
  );
  const all = [...problems, ...found];
  if (all.length > 0) throw new ConfigError(all);
  return await Promise.all(work);
}
