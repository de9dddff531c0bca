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
  breakPushes,
  recover,
} from './aftermath.ts';
import { auditClosed, auditPrivate } from './audit/closed.ts';
import { createOpened } from './audit/opened.ts';
import { toBasic } from './audit/secrets.ts';
import { startSessionAudit } from './audit/sessions.ts';
import { startWatch } from './audit/watch.ts';
import { createWitness } from './audit/witness.ts';
import { auditWords } from './audit/words.ts';
import { createAuthMount } from './auth-mount.ts';
import { noteBusyMoments } from './busy.ts';
import { createCatalogue } from './catalogue.ts';
import { createClient } from './client.ts';
import { chooseCluster, startCluster } from './cluster.ts';
import { runCrowd } from './crowd.ts';
import { countDoubles } from './doubles.ts';
import { createFaultDraw, type FaultRecord } from './faults.ts';
import { formatFigures } from './figures.ts';
import { createLedger } from './ledger.ts';
import { createDice } from './random.ts';
import { chooseBackup, startRegistries } from './registries.ts';
import { type Replica, startReplica } from './replica.ts';
import { startStranger } from './stranger.ts';
import { startTap, type Tap } from './tap.ts';
import { drawTimeline, type Incident } from './timeline.ts';

// Everything that can go wrong at once, drawn from a seed, and an auditor who shares no code with what he audits.
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
say(`seed ${seed}; the same again: ${replay}`);

const dice = createDice(seed);
const ledger = createLedger();
const registries = await startRegistries(backupKind, seed);
const stranger = await startStranger();
const draw = createFaultDraw(dice, Number(values.faults));
const tap = (role: Tap['role']): Promise<Tap> =>
  startTap({ role, upstream: registries.hosts[role], stranger: stranger.host, draw });
const taps = {
  hub: await tap('hub'),
  vault: await tap('vault'),
  safe: await tap('safe'),
  backup: await tap('backup'),
};
const hasCluster = clusterKind === 'real';
const cluster = hasCluster
  ? await startCluster({ ...registries.safe, host: taps.safe.host })
  : undefined;
const faults = (): readonly FaultRecord[] => [
  ...Object.values(taps).flatMap(({ faults }) => faults),
  ...(cluster?.faults ?? []),
];
const catalogue = createCatalogue(dice, registries.sources, hasCluster);

const authMount = createAuthMount(registries.backup.login);
const env = {
  CLONER: 'registry',
  REGISTRY: taps.backup.host,
  REGISTRY_NAMESPACE: 'backups',
  REGISTRY_AUTH_DIR: authMount.dir,
  SOURCE_AUTH_FILE: await writeSourceAuth(),
  LOG_LEVEL: 'trace',
  // In a cluster nothing on loopback is called but what is named.
  ...(cluster !== undefined && {
    ...cluster.env,
    INSECURE_REGISTRIES: Object.values(taps)
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
const witness = createWitness(registries.hosts.backup, registries.backup.login);
const watch = startWatch(witness, ledger);
const opened = createOpened();
const answers: string[] = [];
const client = createClient({
  replicas,
  ledger,
  onAnswer,
  onVerdict: (write, verdict) => auditClosed(write, verdict, ledger),
  haste: 8,
});
const restarts: Promise<void>[] = [];
const aftermath: Aftermath = { replicas, taps, catalogue, client, witness, ledger };

const stopNoting = noteBusyMoments(() => taps.backup.note('late', ''));
const startedAt = performance.now();
await runCrowd({
  dice,
  writes,
  seconds: Number(values.seconds),
  parallel: Number(values.parallel),
  timeline: drawTimeline(dice, writes, hasCluster),
  happen,
  client,
  catalogue,
  taps,
  faults,
  witness,
  opened,
  watch,
  ledger,
});
await Promise.all(restarts);
say(`the storm took ${((performance.now() - startedAt) / 1000).toFixed(0)} s; now it is calm`);
stopNoting();
for (const { calm } of Object.values(taps)) calm();
const { openUploads } = registries;
const sessions = await startSessionAudit({ replicas, openUploads, hasCluster, ledger });
const calmSince = Date.now();
await recover(aftermath);
await auditPrivate(opened, aftermath);
await breakPushes(aftermath);
await sessions.finish();
auditOldPassword(toBasic(registries.backup.login), calmSince, aftermath);
const metrics = await Promise.all(replicas.map(({ url }) => sendRequest(`${url}/metrics`)));
await auditEnds(aftermath);
await watch.finish();
await auditDryRuns(aftermath);
auditExposure(
  [
    ...registries.secrets(),
    ...(cluster === undefined
      ? []
      : [{ name: 'token', owner: 'cluster' as const, value: cluster.token }]),
  ],
  [
    { place: 'the answers', text: answers.join('\n') },
    { place: 'the metrics', text: metrics.map(({ body }) => body).join('\n') },
    { place: 'what the stranger was sent', text: stranger.received() },
  ],
  aftermath,
);
if (values.logs !== undefined) await keepLogs(values.logs);
ledger.count('layers written by two replicas at once', countDoubles(taps.backup.requests));
await Promise.all([...Object.values(taps), stranger, registries].map(({ stop }) => stop()));
await cluster?.stop();

say(formatFigures(ledger, faults()));
if (ledger.breaches.length > 0) {
  say(`\npromises were broken; the same again: ${replay}`);
  process.exitCode = 1;
}

function onAnswer({ status, body }: Answer): void {
  ledger.count('reviews answered');
  answers.push(body);
  if (status === 200) auditWords(body, ledger);
}

function happen(incident: Incident): void {
  ledger.count(incident.what);
  incident.happen({
    replicas,
    catalogue,
    taps,
    cluster,
    rotate: () => {
      authMount.swap(registries.backup.next);
      taps.backup.refuse(`Basic ${toBasic(registries.backup.login)}`);
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
    'SIGTERM in the middle of the storm ends with 0',
    end.code === 0,
    () => `${replica.name} ended with ${end.code ?? end.signal ?? ''}`,
  );
}

async function writeSourceAuth(): Promise<string> {
  const file = join(createTempDir('source-auth'), 'config.json');
  const auth = toBasic(registries.vault);
  await writeFile(file, JSON.stringify({ auths: { [taps.vault.host]: { auth } } }));
  return file;
}

/** For whoever has to find out why. */
async function keepLogs(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  const logs = [
    ...replicas.map(({ name, output }) => [name, output()] as const),
    ...Object.values(taps).map(
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
