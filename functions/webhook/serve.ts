import { setFlagsFromString } from 'node:v8';
import { createLogger } from '../../lib/adapters/log.ts';
import { createMetrics, type Metrics } from '../../lib/adapters/metrics.ts';
import { type Copies, createCopies } from '../../lib/cloner/queue/index.ts';
import { createRegistryHealth } from '../../lib/cloner/registry-health/index.ts';
import { readConfig } from '../../lib/config/config.ts';
import type { ImageEvents } from '../../lib/events/index.ts';
import { createAdmissionHandler } from '../../lib/index.ts';
import type { Observer } from '../../lib/ports/index.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { openAdapters, toEnsureBackupDeps } from '../shared/adapters/open-adapters.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { toSentence } from '../shared/run-command.ts';
import { createApp, createProbeApp } from './app.ts';
import { toVariables } from './command.ts';
import { openImageEvents, openNamespaceOverrides, openSharedCopies } from './kubernetes.ts';
import { type Listeners, openListeners } from './listeners.ts';
import { createLogOutput } from './log-output.ts';
import { createOutages } from './outages.ts';
import { createReplicaStatus } from './status/index.ts';

/** A pod may end 600 s after its deletion, and Knative uses 30 s of them before it sends SIGTERM. */
const drainMs = 560_000;
const endSignals = ['SIGTERM', 'SIGINT'] as const;
/** SDKs load slowly, and must not delay the first probe of Knative. */
const sdksAfterMs = 2_000;

/** Resolves when the last review is answered and the last copy has ended, after a signal. */
export async function serve(args: Arguments): Promise<boolean> {
  // A copy allocates only short-lived buffers, of which V8 would keep tens of megabytes between two collections.
  setFlagsFromString('--max-semi-space-size=4');
  setFlagsFromString('--semi-space-growth-factor=1');
  // The first process of a container ignores signals without a handler: a pod that ends during its start would be killed.
  for (const signal of endSignals) process.on(signal, exitAtOnce);
  const { env } = process;
  const { now } = monotonicClock;
  const reading = readConfig({ ...env, ...toVariables(args) });
  const { config } = reading;
  const output = createLogOutput(process.stdout);
  // Also after an uncaught error.
  process.on('exit', output.flush);
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    write: output.write,
  });
  const { maxClones: maxCopies, maxWaiting } = config;
  const ownCopies = createCopies({ maxCopies, maxWaiting, now });
  const sharedCopies = openSharedCopies(ownCopies, env, logger);
  const copies = sharedCopies ?? ownCopies;
  const outages = createOutages(
    createMetrics({
      adapter: config.cloner,
      copies: () => copies.counts(),
      hosts: [config.backup.domain, ...config.sourceRegistries],
    }),
    config.backup.domain,
  );
  const status = createReplicaStatus({ config, env, metrics: outages.metrics, logger, now });
  const { metrics } = status;
  const registryHealth = createRegistryHealth({ now });
  const adapters = await openAdapters({
    reading: { ...reading, problems: [...args.problems, ...reading.problems] },
    env,
    logger,
    metrics,
    onDaemonAnswer: metrics.daemonAnswered,
  });

  const review = createAdmissionHandler({
    ...toEnsureBackupDeps(adapters, config),
    ...(await openNamespaceOverrides(config, env, logger)),
    policy: adapters.policy,
    registryHealth,
    copies,
    now,
    logger,
    observer: withEvents(metrics, openImageEvents(config, env, logger, metrics.eventEnded)),
  });

  let isReady = true;
  const probes = {
    isReady: () => isReady,
    outage: outages.describe,
    metrics,
    logger,
  };
  const { port, tls } = config;
  const listeners = await openListeners({
    config,
    certificates: adapters.certificates,
    app: createApp({ ...probes, review, demandsCertificate: tls?.clientCaFile !== undefined }),
    probeApp: createProbeApp({ ...probes, reviewPort: tls?.port ?? port }),
    metrics,
    logger,
  });
  const { domain, namespace } = adapters.policy.backup;
  const backup = `${domain}/${namespace}`;
  const outage = outages.describe;
  const statusPage = await status.open({ copies, registryHealth, backup, outage });
  logger.info(
    {
      version: packageJson.version,
      cloner: config.cloner,
      backup,
      port: listeners.port,
      https: tls !== undefined,
      ...(tls?.port !== undefined && { probes: port }),
      ...(statusPage !== undefined && { status: statusPage.port }),
    },
    'ready',
  );
  setTimeout(() => {
    void sharedCopies?.watch();
    // The first review reports a failure.
    adapters.load().catch(() => undefined);
    // The first review does not wait for an identity, and a problem of it is in the log before any review.
    adapters.backupCredentials().catch((error: unknown) => logger.warn({}, toSentence(error)));
  }, sdksAfterMs).unref();

  const { promise: drained, resolve } = Promise.withResolvers<undefined>();
  for (const signal of endSignals) {
    process.on(signal, () => {
      if (!isReady) process.exit(1);
      isReady = false;
      logger.info({ signal }, 'draining');
      resolve(drain([listeners, statusPage], copies));
    });
    process.off(signal, exitAtOnce);
  }
  await drained;
  logger.info({}, 'drained');
  output.flush();
  return true;
}

/** What happens to images, for metrics, the status page and `kubectl describe`. */
function withEvents(metrics: Metrics, events: ImageEvents | undefined): Observer {
  return {
    ...metrics,
    reviewEnded(review) {
      metrics.reviewEnded?.(review);
      events?.reviewEnded(review);
    },
    copyEnded: (copy) => events?.copyEnded(copy),
  };
}

function exitAtOnce(): void {
  process.exit(0);
}

/** Answers the requests that have arrived and ends the copies that run. */
async function drain(
  listeners: readonly (Pick<Listeners, 'close'> | undefined)[],
  copies: Copies,
): Promise<undefined> {
  copies.stop({ abort: false });
  setTimeout(() => copies.stop({ abort: true }), drainMs).unref();
  await Promise.all([...listeners.map((each) => each?.close()), copies.idle()]);
}
