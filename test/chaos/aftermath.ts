import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { auditAdmitted, readImage } from './audit/admitted.ts';
import type { RegistryReader } from './audit/registry-reader.ts';
import { auditSecrets, type Exposed, type Secret } from './audit/secrets.ts';
import type { Catalogue, Published } from './catalogue.ts';
import type { Client } from './client.ts';
import type { Ledger } from './ledger.ts';
import { hasSecret, testNamespaces } from './servers/namespaces.ts';
import type { RegistryProxy } from './servers/registry-proxy.ts';
import type { Replica } from './servers/replica.ts';
import { toPod } from './workload.ts';

export interface Aftermath {
  readonly replicas: readonly Replica[];
  readonly proxies: Readonly<Record<RegistryProxy['role'], RegistryProxy>>;
  readonly catalogue: Catalogue;
  readonly client: Client;
  readonly registryReader: RegistryReader;
  readonly ledger: Ledger;
}

const calmTries = 40;
const drainMs = 15_000;
const holders = testNamespaces.map(({ name }) => name).filter(hasSecret);
/** Baseline of tsx and V8 with source maps; copies must not add to it without bound. */
const maxMemoryMiB = 400;

/** After the faults end, every available image is admitted in its current form without intervention. */
export async function recover({ catalogue, ...after }: Aftermath): Promise<void> {
  const wanted = catalogue.all.filter(({ isThere, isDryOnly }) => isThere && !isDryOnly);
  const recoveries = wanted.flatMap((published) => {
    const namespaces = published.role === 'safe' ? holders : ['no-faults'];
    return namespaces.map((namespace) => recoverOne(published, namespace, after));
  });
  await Promise.all(recoveries);
}

async function recoverOne(
  published: Published,
  namespace: string,
  { client, proxies, registryReader, ledger }: Omit<Aftermath, 'catalogue'>,
): Promise<void> {
  const { repository, tag, role, history } = published;
  const write = toPod(`${proxies[role].host}/${repository}:${tag}`, published, namespace);
  let said = '';
  for (let tries = 0; tries < calmTries; tries += 1) {
    const { status, verdict } = await client.write(write);
    if (status === 'admitted' && verdict.warnings.length === 0) {
      await auditAdmitted(write, verdict, { backup: proxies.backup.host, registryReader, ledger });
      const copy = readImage(String(verdict.patch?.[1]?.value));
      const digest = await registryReader.digest(copy.repository, copy.reference);
      ledger.check(
        'after the faults end, every backup holds what its source holds now',
        digest === history.at(-1),
        () => `${repository}:${tag} is ${digest ?? 'nothing'}, and not ${history.at(-1) ?? ''}`,
      );
      return;
    }
    said = [verdict.message, ...verdict.warnings].join(', ');
    await delay(500);
  }
  ledger.broken(
    'after the faults end, every image is admitted without intervention',
    `${repository}: ${said}`,
  );
}

/** A push to the source that never completes, without faults: its uploads at the backup are cancelled and it is never admitted. */
export async function interruptPushes({ catalogue, ...after }: Aftermath): Promise<void> {
  const { client, proxies, registryReader, ledger } = after;
  const broken = catalogue.all.filter(({ repository }) => repository.startsWith('moving/'));
  await Promise.all(
    broken.map(async (published) => {
      catalogue.breakOff(published);
      const { role, repository, tag } = published;
      const write = toPod(`${proxies[role].host}/${repository}:${tag}`, published, 'no-faults');
      const { status, verdict } = await client.write(write);
      ledger.count(`interrupted pushes without faults, ${status}`);
      if (status !== 'admitted') return;
      await auditAdmitted(write, verdict, { backup: proxies.backup.host, registryReader, ledger });
    }),
  );
}

/** A dry run sends requests to the sources only. */
export async function auditDryRuns({ proxies, registryReader, ledger }: Aftermath): Promise<void> {
  const written = proxies.backup.requests.filter(
    ({ method, repository }) =>
      repository.includes('dry__') && method !== 'GET' && method !== 'HEAD',
  );
  const held = (await registryReader.repositories()).filter((name) => name.includes('dry__'));
  ledger.check('dry runs write nothing', written.length === 0 && held.length === 0, () =>
    [...written.map(({ method, path }) => `${method} ${path}`), ...held].join(', '),
  );
}

/** Each registry receives its own credentials, and no other server receives any. */
export function auditExposure(
  secrets: readonly Secret[],
  places: readonly Exposed[],
  { replicas, proxies, ledger }: Aftermath,
): void {
  auditSecrets(
    secrets,
    [
      ...places,
      ...replicas.map(({ name, output }) => ({ place: `log of ${name}`, text: output() })),
    ],
    ledger,
  );
  for (const { role, requests } of Object.values(proxies)) {
    const others = secrets.filter(({ owner }) => owner !== role);
    const text = requests.map(({ path, authorization }) => `${path} ${authorization}`).join('\n');
    auditSecrets(others, [{ place: `requests to ${role}`, text }], ledger);
  }
}

/** An idle replica has read the new password without a restart. */
export function auditOldPassword(old: string, since: number, { proxies, ledger }: Aftermath): void {
  const late = proxies.backup.requests.filter(
    ({ at, authorization }) => at > since && authorization.includes(old),
  );
  ledger.check('after the faults end, the rotated password is not used', late.length === 0, () =>
    late.map(({ method, path }) => `${method} ${path}`).join(', '),
  );
}

/** SIGTERM ends each replica, and it leaves no files and no connections. */
export async function auditEnds({ replicas, proxies, ledger }: Aftermath): Promise<void> {
  for (const replica of replicas) {
    const peak = replica.peakMemory();
    if (peak === undefined) continue;
    ledger.count(`MiB of memory at most, ${replica.name}`, Math.round(peak));
    ledger.check(
      'memory is bounded',
      peak < maxMemoryMiB,
      () => `${replica.name} had ${Math.round(peak)} MiB`,
    );
  }
  const ends = await Promise.all(
    replicas.map(async (replica) => {
      const startedAt = Date.now();
      return { replica, end: await replica.stop(), ms: Date.now() - startedAt };
    }),
  );
  for (const { replica, end, ms } of ends) {
    ledger.check(
      'SIGTERM ends an idle replica with exit code 0',
      end.code === 0 && ms < drainMs,
      () => `${replica.name} ended with ${end.code ?? end.signal ?? ''} after ${ms} ms`,
    );
    const left = readdirSync(replica.tempDir).filter((name) => !name.startsWith('tsx-'));
    ledger.check(
      'no temporary file is left behind',
      left.length === 0,
      () => `${replica.name}: ${left.join(', ')}`,
    );
  }
  // The last FIN may be in transit.
  await delay(200);
  for (const proxy of Object.values(proxies)) {
    ledger.check(
      'no connection is left behind',
      proxy.openConnections() === 0,
      () => `${proxy.openConnections()} to the ${proxy.role}`,
    );
  }
}
