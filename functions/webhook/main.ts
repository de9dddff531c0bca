import { setFlagsFromString } from 'node:v8';
import { createLogger } from '../../lib/adapters/log.ts';
import { createMetrics } from '../../lib/adapters/metrics.ts';
import { type Copies, createCopies } from '../../lib/cloner/queue/index.ts';
import { readConfig } from '../../lib/config/config.ts';
import { ConfigError } from '../../lib/errors.ts';
import { createAdmissionHandler, type Logger } from '../../lib/index.ts';
import { openParts, toCloning } from '../shared/open-adapters.ts';
import { createApp, createProbeApp } from './app.ts';
import { readFlags, usage } from './flags.ts';
import { openReplica } from './kubernetes.ts';
import { type Listeners, openListeners } from './listeners.ts';
import { openOverrides } from './overrides.ts';

/** Knative lets a pod live for 600 s after it was told to go, and spends 30 of them before it tells us. */
const drainMs = 560_000;
const endSignals = ['SIGTERM', 'SIGINT'] as const;
/** The Kubernetes SDK takes long to load: not while Knative asks every 50 ms whether we are ready. */
const watchAfterMs = 2_000;

/** A wall clock may jump, and durations with it. */
const now = (): number => performance.now();

// A copy makes nothing but short-lived buffers; V8 would let tens of megabytes of them pile up before it looks.
setFlagsFromString('--max-semi-space-size=4');
setFlagsFromString('--semi-space-growth-factor=1');

// The `debug` package, deep inside dockerode, prints whole requests, credentials included.
delete process.env['DEBUG'];

// Without a handler these do nothing to the first process of a container, which we are there: told to go before it has begun, it
// would go on until it is killed.
for (const signal of endSignals) process.on(signal, leave);

// A log that nobody reads any more is no reason to cut copies off.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  await main();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`image-cloner: ${problem}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2));
  if (flags.asksForHelp) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  // Flags win over the environment.
  const reading = readConfig({ ...process.env, ...flags.variables });
  const { config } = reading;
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    write: (line) => process.stdout.write(line),
  });
  const { maxClones: maxCopies, maxWaiting } = config;
  const ownCopies = createCopies({ maxCopies, maxWaiting, now });
  const replica = openReplica({ copies: ownCopies, env: process.env, logger });
  const copies = replica ?? ownCopies;
  const metrics = createMetrics({
    adapter: config.cloner,
    copies: () => copies.counts(),
    hosts: [config.backup.domain, ...config.sourceRegistries],
  });
  const parts = await openParts({
    reading: { ...reading, problems: [...flags.problems, ...reading.problems] },
    env: process.env,
    logger,
    metrics,
  });

  const { domain, namespace } = parts.policy.backup;
  let isBackupUp = true;
  const review = createAdmissionHandler({
    ...toCloning(parts, config),
    ...(await openOverrides({ config, env: process.env, logger })),
    policy: parts.policy,
    copies,
    now,
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
  const probes = {
    isReady: () => isReady,
    outage: () =>
      isBackupUp
        ? undefined
        : `the backup registry ${domain} gave no usable answer when it was last asked`,
    metrics,
    logger,
  };
  const { port, tls } = config;
  const listeners = await openListeners({
    config,
    certificates: parts.certificates,
    app: createApp({ ...probes, review, demandsCertificate: tls?.clientCaFile !== undefined }),
    probeApp: createProbeApp({ ...probes, reviewPort: tls?.port ?? port }),
    metrics,
    logger,
  });
  logger.info(
    {
      port: listeners.port,
      https: tls !== undefined,
      ...(tls?.port !== undefined && { probes: port }),
      backup: `${domain}/${namespace}`,
    },
    'ready',
  );
  setTimeout(() => void replica?.watch(), watchAfterMs).unref();

  for (const signal of endSignals) {
    process.on(signal, () => {
      if (!isReady) process.exit(1);
      isReady = false;
      logger.info({ signal }, 'draining');
      void drain(listeners, copies, logger);
    });
    process.off(signal, leave);
  }
}

/** Nothing has been taken on yet. */
function leave(): void {
  process.exit(0);
}

/** Answers what has been asked, finishes the copies that run, and leaves. */
async function drain(listeners: Listeners, copies: Copies, logger: Logger): Promise<void> {
  copies.stop({ abort: false });
  setTimeout(() => copies.stop({ abort: true }), drainMs).unref();
  await Promise.all([listeners.close(), copies.idle()]);
  logger.info({}, 'drained');
  process.exit(0);
}

function toSentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? error.code : undefined;
  const port = 'port' in error ? `port ${String(error.port)}` : 'the port';
  const ways = 'PORT, --port or TLS_PORT';
  if (code === 'EADDRINUSE') {
    return `${port} is in use by another process; choose another with ${ways}`;
  }
  if (code === 'EACCES') return `we may not listen on ${port}; choose one above 1023 with ${ways}`;
  return error.message;
}
