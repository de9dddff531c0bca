import { createPullSecrets } from '../../../lib/adapters/credentials/pull-secrets.ts';
import { openSourceAuthFile } from '../../../lib/adapters/credentials/source-auth-file.ts';
import type { OnStale } from '../../../lib/adapters/file-reloader.ts';
import { namespaceOfService } from '../../../lib/config/backup-registry.ts';
import { ConfigError } from '../../../lib/errors.ts';
import { cloudOf } from '../../../lib/image/cloud-registry.ts';
import type {
  AdmissionHandlerDeps,
  Config,
  CredentialSource,
  ImageCloner,
  ReviewPolicy,
  WorkloadSecrets,
} from '../../../lib/index.ts';
import { excludedNamespaces } from '../../../lib/install/excluded-namespaces.ts';
import type { BackupCredentials } from '../../../lib/ports/index.ts';
import { monotonicClock } from '../../../lib/util/clock.ts';
import { allOrProblems } from '../all-or-problems.ts';
import { isInsideCluster, readPodNamespace } from '../settings/environment.ts';
import {
  type BackupAccess,
  createOpenIdentities,
  type OpenIdentities,
  openBackupAccess,
  toBackupLocation,
} from './backup-access.ts';
import { type Certificates, readCertificates } from './certificates.ts';
import { type ClonerOptions, openCloner } from './open-cloner.ts';
import { type ByHand, withLogins } from './personal-logins.ts';

/** The files, clients and the cloner that a configuration names, ready for use. */
export interface Adapters {
  readonly policy: ReviewPolicy;
  readonly backupCredentials: BackupCredentials;
  readonly sourceCredentials: CredentialSource | undefined;
  readonly workloadSecrets: WorkloadSecrets | undefined;
  readonly cloner: ImageCloner;
  readonly certificates: Certificates | undefined;
  /** Loads the modules of the cloner, which its first use does otherwise. */
  readonly load: () => Promise<unknown>;
}

export interface AdapterOptions extends ClonerOptions {
  /** Present for a command that a person runs. */
  readonly byHand?: ByHand;
}

/** Rejects with one `ConfigError` that lists the problems of the variables and of everything that the valid ones name. */
export async function openAdapters(options: AdapterOptions): Promise<Adapters> {
  const { config, isValid, problems } = options.reading;
  const { pullSecrets, tls } = config;
  const openIdentities = createOpenIdentities(options.env, options.logger);
  const [backup, sourceCredentials, workloadSecrets, { cloner, load }, certificates] =
    await allOrProblems(problems, [
      isValid('REGISTRY', 'REGISTRY_NAMESPACE', 'REGISTRY_AUTH', 'NAMING')
        ? openBackup(options, openIdentities)
        : skipped(),
      openSources(options, openIdentities),
      pullSecrets && config.cloner === 'registry' ? openPullSecrets(options) : undefined,
      isValid('CLONER', 'DOCKER_HOST') ? openCloner(options) : skipped(),
      tls === undefined ? undefined : readCertificates(tls),
      options.byHand?.logins,
    ]);
  const { auth, ...access } = backup;
  const { domain } = config.backup;
  // A login of Amazon ECR creates no repositories, so the identity behind it does.
  const isOnEcr = (auth === 'ecr' || auth === 'login') && cloudOf(domain) === 'ecr';
  const ecrBackup = isOnEcr ? domain : undefined;
  const usesIdentities =
    isOnEcr || auth === 'gar' || auth === 'acr' || config.sourceCloudAuth.length > 0;
  const wrapped = usesIdentities ? (await openIdentities()).wrap(cloner, ecrBackup) : cloner;
  const { byHand, logger } = options;
  const sides = { sourceCredentials, cloner: wrapped };
  return {
    ...access,
    ...(byHand === undefined ? sides : await withLogins(byHand, sides, logger)),
    workloadSecrets,
    certificates,
    load,
  };
}

/** The dependencies of `EnsureBackup`, for every entry point that copies images. */
export function toEnsureBackupDeps(
  { cloner, backupCredentials, sourceCredentials, workloadSecrets }: Adapters,
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
  options: AdapterOptions,
  openIdentities: OpenIdentities,
): Promise<
  Pick<Adapters, 'policy' | 'backupCredentials'> & { readonly auth: BackupAccess['auth'] }
> {
  const { reading, env, logger, metrics, byHand } = options;
  const { auth, credentials, username } = await openBackupAccess({
    config: reading.config,
    env,
    logger,
    openIdentities,
    logins: await byHand?.logins,
    onStale: (isStale) => metrics.fileIsStale('REGISTRY_AUTH_DIR', isStale),
  });
  return {
    auth,
    backupCredentials: credentials,
    policy: await toPolicy(options, username),
  };
}

/** An entry of `SOURCE_AUTH_FILE` for a registry takes precedence over the identity of its cloud. */
async function openSources(
  { reading, logger, metrics }: AdapterOptions,
  openIdentities: OpenIdentities,
): Promise<CredentialSource | undefined> {
  const { sourceAuthFile: file, sourceCloudAuth: clouds } = reading.config;
  const onStale: OnStale = (isStale) => metrics.fileIsStale('SOURCE_AUTH_FILE', isStale);
  const fromFile =
    file === undefined ? undefined : await openSourceAuthFile({ file, logger, onStale });
  if (clouds.length === 0) return fromFile;
  const fromCloud = (await openIdentities()).sources(clouds);
  return {
    async credentialsFor(image, within) {
      const found = (await fromFile?.credentialsFor(image, within)) ?? [];
      return found.length > 0 ? found : await fromCloud.credentialsFor(image, within);
    },
  };
}

async function toPolicy({ reading, env }: AdapterOptions, username: string): Promise<ReviewPolicy> {
  const { config } = reading;
  const name = env['K_SERVICE'];
  const podNamespace = await readPodNamespace();
  const ownNamespaces = [podNamespace, namespaceOfService(config.backup.domain)];
  return {
    backup: toBackupLocation(config, username),
    onError: config.onError,
    onDeadline: config.onDeadline,
    ignoreImages: config.ignoreImages,
    sourceRegistries: config.sourceRegistries,
    formerBackups: config.formerBackups,
    cloneOnlyOwners: config.cloneOnlyOwners,
    ...(config.backupPullSecret !== undefined && { backupPullSecret: config.backupPullSecret }),
    excludedNamespaces: [
      ...excludedNamespaces,
      ...ownNamespaces.filter((namespace) => namespace !== undefined),
    ],
    ...(name !== undefined &&
      podNamespace !== undefined && { ownService: { namespace: podNamespace, name } }),
  };
}

async function openPullSecrets({ reading, env, logger }: AdapterOptions): Promise<WorkloadSecrets> {
  if (reading.config.clusterId === undefined) {
    logger.warn(
      {},
      'CLUSTER_ID is not set: if another cluster uses the same backup, namespaces with the same name share their private copies; set CLUSTER_ID',
    );
  }
  const { openNamespaceReader } = await import('../../../lib/adapters/kubernetes/index.ts');
  const kubeconfigFile = env['KUBECONFIG'];
  const insideCluster = isInsideCluster(env);
  const reader = await openNamespaceReader({ kubeconfigFile, insideCluster, logger });
  return createPullSecrets({ reader, logger, now: monotonicClock.now });
}

/** Replaces an adapter whose own variables are invalid; `problems` lists those already. */
function skipped(): Promise<never> {
  return Promise.reject(new ConfigError([]));
}
