import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { createPullSecrets } from '../../lib/adapters/credentials/pull-secrets.ts';
import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { openSourceAuthFile } from '../../lib/adapters/credentials/source-auth-file.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import { createMetrics, type Metrics } from '../../lib/adapters/metrics.ts';
import { type Copies, createCopies } from '../../lib/cloner/copies.ts';
import { rememberSource } from '../../lib/cloner/remembered-source.ts';
import {
  type Config,
  namespaceOfService,
  parseConfig,
  toBackupNamespace,
} from '../../lib/config.ts';
import { ConfigError } from '../../lib/errors.ts';
import {
  createAdmissionHandler,
  type ImageCloner,
  type Logger,
  type ReviewPolicy,
  type WorkloadSecrets,
} from '../../lib/index.ts';
import { createApp } from './app.ts';
import { openServer, readPair, type WebhookServer } from './server.ts';

/** Knative lets a pod live for 600 s after it was told to go, and spends 30 of them before it tells us. */
const drainMs = 560_000;
const insideCluster = process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
const serviceAccountNamespace = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

const usage =
  'usage: webhook [--port N] [--tls-cert-file FILE --tls-private-key-file FILE]; everything else comes from the environment, see README';

// A copy makes nothing but short-lived buffers; V8 would let tens of megabytes of them pile up before it looks.
setFlagsFromString('--max-semi-space-size=4');
setFlagsFromString('--semi-space-growth-factor=1');

// The `debug` package, deep inside dockerode, prints whole requests, credentials included.
delete process.env['DEBUG'];

try {
  await main();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`image-cloner: ${problem}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

async function main(): Promise<void> {
  const config = readConfig();
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    write: (line) => process.stdout.write(line),
  });
  const copies = createCopies({ maxCopies: config.maxClones });
  const metrics = createMetrics({ adapter: config.cloner, copies: () => copies.counts() });
  const [backupCredentials, sourceCredentials, workloadSecrets, cloner] = await allOrProblems([
    openRegistryAuth({ dir: config.registryAuthDir, registry: config.backup, logger }),
    config.sourceAuthFile === undefined
      ? undefined
      : openSourceAuthFile({ file: config.sourceAuthFile, logger }),
    config.pullSecrets ? openPullSecrets(config, logger) : undefined,
    openCloner(config, logger, metrics),
    config.tls === undefined ? undefined : readPair(config.tls),
  ] as const);
  const policy = await toPolicy(config, (await backupCredentials()).username);
  let isBackupUp = true;
  const { domain, namespace } = policy.backup;
  const review = createAdmissionHandler({
    cloner,
    policy,
    copies,
    backupCredentials,
    ...(sourceCredentials !== undefined && { sourceCredentials }),
    ...(workloadSecrets !== undefined && { workloadSecrets }),
    pinDigests: config.pinDigests,
    adoptExisting: config.adoptExisting,
    privateToPublic: config.privateToPublic,
    ...(config.clusterId !== undefined && { clusterId: config.clusterId }),
    logger,
    observer: {
      ...metrics,
      backupAnswered(isUp) {
        isBackupUp = isUp;
        metrics.backupAnswered(isUp);
      },
    },
  });

  let isReady = true;
  const { fetch } = createApp({
    review,
    isReady: () => isReady,
    outage: () =>
      isBackupUp
        ? undefined
        : `the backup registry ${domain} gave no usable answer when it was last asked`,
    metrics,
    logger,
  });
  const server = await openServer({ fetch, port: config.port, tls: config.tls, logger });
  logger.info(
    { port: server.port, https: config.tls !== undefined, backup: `${domain}/${namespace}` },
    'ready',
  );

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (!isReady) process.exit(1);
      isReady = false;
      logger.info({ signal }, 'draining');
      void drain(server, copies, logger);
    });
  }
}

/** Answers what has been asked, finishes the copies that run, and leaves. */
async function drain(server: WebhookServer, copies: Copies, logger: Logger): Promise<void> {
  copies.stop({ abort: false });
  setTimeout(() => copies.stop({ abort: true }), drainMs).unref();
  await Promise.all([server.close(), copies.idle()]);
  logger.info({}, 'drained');
  process.exit(0);
}

async function openPullSecrets({ clusterId }: Config, logger: Logger): Promise<WorkloadSecrets> {
  if (clusterId === undefined) {
    logger.warn(
      {},
      'CLUSTER_ID is not set: if another cluster shares this backup, namespaces of one name share their private copies',
    );
  }
  const { openNamespaceReader } = await import('../../lib/adapters/kubernetes/index.ts');
  const kubeconfigFile = process.env['KUBECONFIG'];
  const reader = await openNamespaceReader({ kubeconfigFile, insideCluster, logger });
  return createPullSecrets({ reader, logger });
}

/** SDKs are slow to load: only the one that is used is. */
async function openCloner(config: Config, logger: Logger, metrics: Metrics): Promise<ImageCloner> {
  if (config.cloner === 'registry') return await openRegistry(config, metrics);
  const { dockerHost } = config;
  const { createDockerCloner, openDaemon } = await import('../../lib/adapters/docker/index.ts');
  return rememberSource(createDockerCloner({ docker: await openDaemon({ dockerHost, logger }) }));
}

async function openRegistry(config: Config, metrics: Metrics): Promise<ImageCloner> {
  const { openRegistryCloner } = await import('../../lib/adapters/registry/index.ts');
  const { backup, insecureRegistries, sourceRegistries, registryCaFile, maxImageBytes } = config;
  return await openRegistryCloner({
    configuredHosts: [backup.domain, ...sourceRegistries],
    insecureRegistries,
    caFile: registryCaFile,
    maxImageBytes,
    insideCluster,
    proxy: readProxy(),
    onAnswer: (answer) => metrics.answered(answer),
  });
}

/** The variables that every HTTP client reads. */
function readProxy(): { https: string; http: string; no: string } | undefined {
  const https = readVariable('HTTPS_PROXY');
  const http = readVariable('HTTP_PROXY');
  return https === '' && http === '' ? undefined : { https, http, no: readVariable('NO_PROXY') };
}

/** In either case, as everybody takes them. */
function readVariable(name: string): string {
  return process.env[name] ?? process.env[name.toLowerCase()] ?? '';
}

async function toPolicy(config: Config, username: string): Promise<ReviewPolicy> {
  const { domain } = config.backup;
  const registryNamespace = namespaceOfService(domain);
  const name = process.env['K_SERVICE'];
  const namespace = await readFile(serviceAccountNamespace, 'utf8').catch(() => undefined);
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
    excludedNamespaces: registryNamespace === undefined ? [] : [registryNamespace],
    ...(name !== undefined &&
      namespace !== undefined && { ownService: { namespace: namespace.trim(), name } }),
  };
}

/** Flags win over the environment; what is wrong with either is said together. */
function readConfig(): Config {
  const { flags, problems } = readFlags();
  try {
    const config = parseConfig({ ...process.env, ...flags });
    if (problems.length > 0) throw new ConfigError([]);
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError([...problems, ...error.problems]);
  }
}

/** They are the Go original's. */
function readFlags(): {
  readonly flags: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
} {
  const text = { type: 'string' } as const;
  try {
    const { help, ...values } = parseArgs({
      options: {
        port: text,
        'tls-cert-file': text,
        'tls-private-key-file': text,
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
    if (help === true) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    const flags: Readonly<Record<string, string>> = Object.fromEntries(
      Object.entries(values).map(([flag, value]) => [
        flag.toUpperCase().replaceAll('-', '_'),
        value,
      ]),
    );
    return { flags, problems: [] };
  } catch (error) {
    return { flags: {}, problems: [toSentence(error), usage] };
  }
}

/** Everything that is wrong at the start is said at once. */
async function allOrProblems<const Work extends readonly unknown[]>(
  work: Work,
): Promise<{ -readonly [Index in keyof Work]: Awaited<Work[Index]> }> {
  const settled = await Promise.allSettled(work);
  const problems = settled.flatMap((result) =>
    result.status === 'rejected' && result.reason instanceof ConfigError
      ? result.reason.problems
      : [],
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return await Promise.all(work);
}

function toSentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE')
    return 'the port is in use by another process; choose another with PORT or --port';
  if (code === 'EACCES')
    return 'we may not listen on that port; choose one above 1023 with PORT or --port';
  return error.message;
}
