import { rename, writeFile } from 'node:fs/promises';
import { createPullSecrets } from '../../lib/adapters/credentials/pull-secrets.ts';
import { createMetrics } from '../../lib/adapters/metrics.ts';
import { createCheckSource } from '../../lib/cloner/source/index.ts';
import { readConfig } from '../../lib/config/config.ts';
import { listOptedIn } from '../../lib/fleet/list-workloads.ts';
import { createRateLimiter } from '../../lib/fleet/rate-limiter.ts';
import {
  createVerify,
  formatMetrics,
  toDocument,
  type VerifyDeps,
} from '../../lib/fleet/verify/index.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { toExcludedNamespaces } from '../../lib/install/webhook-configuration.ts';
import { monotonicClock, sleep } from '../../lib/util/clock.ts';
import { createCommandLogger } from '../shared/adapters/backup-access.ts';
import { openAdapters } from '../shared/adapters/open-adapters.ts';
import { openLogins } from '../shared/adapters/personal-logins.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { createInterruptSignal, print, printJson } from '../shared/run-command.ts';
import { readInstalledEnv } from '../shared/settings/command-env.ts';
import {
  type Env,
  isInsideCluster,
  omitListenerVariables,
} from '../shared/settings/environment.ts';
import { createStdoutDisplay } from '../shared/terminal/progress-display.ts';
import { toWorkloadFlags } from '../shared/workload-flags.ts';
import { formatVerification } from './format-verification.ts';

const { now } = monotonicClock;
const fieldManager = 'image-cloner-verify';
const defaultPerMinute = 600;

/** Resolves with whether every workload would start. */
export async function verify(args: Arguments): Promise<boolean> {
  const { switches, values } = args;
  const isJson = switches.has('json');
  const env = await readInstalledEnv(args, process.env);
  const { namespaces, problems } = toWorkloadFlags(args);
  const [deps, settings] = await allOrProblems(problems, [
    openDeps(env, args),
    attempt(() => parseSettings(env)),
  ]);
  const { openWorkloadStore } = await import('../../lib/adapters/kubernetes/index.ts');
  const insideCluster = isInsideCluster(env);
  const kubeconfig = env['KUBECONFIG'];
  const store = openWorkloadStore({ kubeconfig, insideCluster, fieldManager, sleep });
  const signal = createInterruptSignal();
  const { name, namespace, workloads, labelValue } = settings;
  const excluded = [...toExcludedNamespaces(settings), ...deps.policy.excludedNamespaces];
  const ownService = { name, namespace };
  const check = createVerify({
    ...deps,
    policy: { ...deps.policy, excludedNamespaces: excluded, ownService },
  });
  const display = createStdoutDisplay();
  const verification = await check(
    await listOptedIn({ store, workloads, labelValue, namespaces, excluded, signal }),
    {
      signal,
      // Lines of progress would be a part of the document.
      onStep: isJson ? () => undefined : (done, total) => display.step('copies', { done, total }),
    },
  );
  display.remove('copies');
  const file = values.get('metrics');
  if (file !== undefined) await writeWhole(file, formatMetrics(verification, new Date()));
  if (isJson) printJson(toDocument(verification));
  else for (const line of formatVerification(verification)) print(line);
  const { fails, unknown } = verification.workloads;
  return fails === 0 && unknown === 0 && verification.problems.length === 0;
}

/** Asks the registries itself also with `CLONER=docker`: a docker daemon would have to pull each image. */
async function openDeps(env: Env, { switches, values }: Arguments): Promise<VerifyDeps> {
  const ownEnv = { ...omitListenerVariables(env), CLONER: 'registry' };
  const reading = readConfig(ownEnv);
  const logger = createCommandLogger('error');
  const adapters = await openAdapters({
    reading,
    env: ownEnv,
    logger,
    metrics: createMetrics({ adapter: 'registry', copies: () => ({ running: 0, waiting: 0 }) }),
    byHand: { logins: openLogins(env), shared: false },
  });
  const { openNamespaceReader } = await import('../../lib/adapters/kubernetes/index.ts');
  const reader = await openNamespaceReader({
    kubeconfigFile: env['KUBECONFIG'],
    insideCluster: isInsideCluster(env),
    logger,
  });
  const { cloner, sourceCredentials, workloadSecrets } = adapters;
  const credentials = sourceCredentials ?? { credentialsFor: () => Promise.resolve([]) };
  const perMinute = Number(values.get('rate') ?? defaultPerMinute);
  return {
    ...adapters,
    secrets: createPullSecrets({ reader, logger, now }),
    backupPullSecret: reading.config.backupPullSecret,
    rateLimiter: createRateLimiter({ perMinute, now, sleep }),
    checkSource: switches.has('no-sources')
      ? undefined
      : createCheckSource({ cloner, credentials, workloadSecrets, now }),
  };
}

/** A reader never sees half of the file. */
async function writeWhole(file: string, text: string): Promise<void> {
  const next = `${file}.${process.pid}`;
  await writeFile(next, text);
  await rename(next, file);
}
