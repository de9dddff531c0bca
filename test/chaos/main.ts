import { randomInt } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createTempDir } from '../real/support/janitor.ts';
import { type Answer, sendRequest } from '../real/support/request.ts';
import {
  type Aftermath,
  auditDryRuns,
  auditEnds,
  auditExposure,
  auditOldPassword,
  interruptPushes,
  recover,
} from './aftermath.ts';
import { countDuplicateUploads } from './audit/duplicate-uploads.ts';
import { createPrivateAccess } from './audit/private-access.ts';
import { auditPrivateImages, auditPrivateWrite } from './audit/private-images.ts';
import { createRegistryReader } from './audit/registry-reader.ts';
import { toBasic } from './audit/secrets.ts';
import { startSessionAudit } from './audit/sessions.ts';
import { startTagHistory } from './audit/tag-history.ts';
import { auditTerminalText } from './audit/terminal-text.ts';
import { createCatalogue } from './catalogue.ts';
import { createClient } from './client.ts';
import { createLedger } from './ledger.ts';
import { runLoad } from './load-generator.ts';
import { createDice } from './random.ts';
import { formatReport } from './report.ts';
import { createAuthMount } from './servers/auth-mount.ts';
import { chooseCluster, startCluster } from './servers/cluster.ts';
import { watchEventLoopLag } from './servers/event-loop-lag.ts';
import { createFaultDraw, type FaultRecord } from './servers/faults.ts';
import { startForeignServer } from './servers/foreign-server.ts';
import { chooseBackup, startRegistries } from './servers/registries.ts';
import { type RegistryProxy, startRegistryProxy } from './servers/registry-proxy.ts';
import { type Replica, startReplica } from './servers/replica.ts';
import { drawTimeline, type Incident } from './timeline.ts';

// Injects faults drawn from a seed into concurrent reviews, and audits the outcome without the product's code.
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(1_000_000)) },
    seconds: { type: 'string', default: '40' },
    reviews: { type: 'string', default: '300' },
    replicas: { type: 'string', default: '3' },
    parallel: { type: 'string', default: '16' },
    faults: { type: 'string', default: '0.06' },
    backup: { type: 'string', default: chooseBackup() },
    cluster: { type: 'string', default: chooseCluster() },
    logs: { type: 'string' },
  },
});
const { seed } = values;
const writes = Number(values.reviews);
const backupKind = values.backup === 'real' ? 'real' : 'memory';
const clusterKind = values.cluster === 'real' ? 'real' : 'none';
const replay = `npm run test:chaos -- --seed ${seed} --seconds ${values.seconds} --reviews ${values.reviews} --backup ${backupKind} --cluster ${clusterKind}`;
say(`seed ${seed}; to repeat: ${replay}`);

const dice = createDice(seed);
const ledger = createLedger();
const registries = await startRegistries(backupKind, seed);
const foreignServer = await startForeignServer();
const draw = createFaultDraw(dice, Number(values.faults));
const proxy = (role: RegistryProxy['role']): Promise<RegistryProxy> =>
  startRegistryProxy({
    role,
    upstream: registries.hosts[role],
    foreignServer: foreignServer.host,
    draw,
  });
const proxies = {
  hub: await proxy('hub'),
  vault: await proxy('vault'),
  safe: await proxy('safe'),
  backup: await proxy('backup'),
};
const hasCluster = clusterKind === 'real';
const cluster = hasCluster
  ? await startCluster({ ...registries.safe, host: proxies.safe.host })
  : undefined;
const faults = (): readonly FaultRecord[] => [
  ...Object.values(proxies).flatMap(({ faults }) => faults),
  ...(cluster?.faults ?? []),
];
const catalogue = createCatalogue(dice, registries.sources, hasCluster);

const authMount = createAuthMount(registries.backup.login);
const env = {
  CLONER: 'registry',
  REGISTRY: proxies.backup.host,
  REGISTRY_NAMESPACE: 'backups',
  REGISTRY_AUTH_DIR: authMount.dir,
  SOURCE_AUTH_FILE: await writeSourceAuth(),
  LOG_LEVEL: 'trace',
  // With a cluster, the webhook connects only to loopback addresses that are listed.
  ...(cluster !== undefined && {
    ...cluster.env,
    INSECURE_REGISTRIES: Object.values(proxies)
      .map(({ host }) => host)
      .join(','),
  }),
};
const [first, ...others] = await Promise.all(
  Array.from({ length: Number(values.replicas) }, (_, n) =>
    startReplica({ name: `replica-${n}`, env: { ...env, HOSTNAME: `replica-${n}` } }),
  ),
);
if (first === undefined) throw new Error('--replicas must be 1 or more');
const replicas: readonly [Replica, ...Replica[]] = [first, ...others];
const registryReader = createRegistryReader(registries.hosts.backup, registries.backup.login);
const tagHistory = startTagHistory(registryReader, ledger);
const privateAccess = createPrivateAccess();
const answers: string[] = [];
const client = createClient({
  replicas,
  ledger,
  onAnswer,
  onVerdict: (write, verdict) => auditPrivateWrite(write, verdict, ledger),
  haste: 8,
});
const restarts: Promise<void>[] = [];
const aftermath: Aftermath = { replicas, proxies, catalogue, client, registryReader, ledger };

const stopLagWatch = watchEventLoopLag(() => proxies.backup.note('late', ''));
const startedAt = performance.now();
await runLoad({
  dice,
  writes,
  seconds: Number(values.seconds),
  parallel: Number(values.parallel),
  timeline: drawTimeline(dice, writes, hasCluster),
  happen,
  client,
  catalogue,
  proxies,
  faults,
  registryReader,
  privateAccess,
  tagHistory,
  ledger,
});
await Promise.all(restarts);
say(`faults ended after ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
stopLagWatch();
for (const { endFaults } of Object.values(proxies)) endFaults();
const { openUploads } = registries;
const sessions = await startSessionAudit({ replicas, openUploads, hasCluster, ledger });
const faultsEndedAt = Date.now();
await recover(aftermath);
await auditPrivateImages(privateAccess, aftermath);
await interruptPushes(aftermath);
await sessions.finish();
auditOldPassword(toBasic(registries.backup.login), faultsEndedAt, aftermath);
const metrics = await Promise.all(replicas.map(({ url }) => sendRequest(`${url}/metrics`)));
await auditEnds(aftermath);
await tagHistory.finish();
await auditDryRuns(aftermath);
auditExposure(
  [
    ...registries.secrets(),
    ...(cluster === undefined
      ? []
      : [{ name: 'token', owner: 'cluster' as const, value: cluster.token }]),
  ],
  [
    { place: 'responses', text: answers.join('\n') },
    { place: 'metrics', text: metrics.map(({ body }) => body).join('\n') },
    { place: 'requests to the foreign server', text: foreignServer.received() },
  ],
  aftermath,
);
if (values.logs !== undefined) await keepLogs(values.logs);
ledger.count(
  'layers written by two replicas at once',
  countDuplicateUploads(proxies.backup.requests),
);
await Promise.all([...Object.values(proxies), foreignServer, registries].map(({ stop }) => stop()));
await cluster?.stop();

say(formatReport(ledger, faults()));
if (ledger.breaches.length > 0) {
  say(`\npromises were broken; to repeat: ${replay}`);
  process.exitCode = 1;
}

function onAnswer({ status, body }: Answer): void {
  ledger.count('reviews answered');
  answers.push(body);
  if (status === 200) auditTerminalText(body, ledger);
}

function happen(incident: Incident): void {
  ledger.count(incident.what);
  incident.happen({
    replicas,
    catalogue,
    proxies,
    cluster,
    rotate: () => {
      authMount.swap(registries.backup.next);
      proxies.backup.refuse(`Basic ${toBasic(registries.backup.login)}`);
    },
    restart: (replica, signal) => {
      if (replica.isUp()) restarts.push(restart(replica, signal));
    },
  });
}

async function restart(replica: Replica, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const end = await replica.restart(signal);
  if (signal === 'SIGKILL') return;
  ledger.check(
    'SIGTERM under faults ends a replica with exit code 0',
    end.code === 0,
    () => `${replica.name} ended with ${end.code ?? end.signal ?? ''}`,
  );
}

async function writeSourceAuth(): Promise<string> {
  const file = join(createTempDir('source-auth'), 'config.json');
  const auth = toBasic(registries.vault);
  await writeFile(file, JSON.stringify({ auths: { [proxies.vault.host]: { auth } } }));
  return file;
}

/** Writes logs, requests and faults for debugging. */
async function keepLogs(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  const logs = [
    ...replicas.map(({ name, output }) => [name, output()] as const),
    ...Object.values(proxies).map(
      ({ role, requests }) =>
        [role, requests.map((request) => JSON.stringify(request)).join('\n')] as const,
    ),
    [
      'faults',
      faults()
        .map((fault) => JSON.stringify(fault))
        .join('\n'),
    ] as const,
  ];
  for (const [name, text] of logs) await writeFile(join(dir, `${name}.log`), text);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
