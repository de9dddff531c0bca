import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { auditAdmitted } from './audit/admitted.ts';
import { auditSecrets, type Exposed, type Secret } from './audit/secrets.ts';
import type { Witness } from './audit/witness.ts';
import type { Catalogue, Published } from './catalogue.ts';
import type { Client } from './client.ts';
import type { Ledger } from './ledger.ts';
import type { Replica } from './replica.ts';
import type { Tap } from './tap.ts';
import { hasSecret, tenants } from './tenants.ts';
import { toPod } from './workload.ts';

export interface Aftermath {
  readonly replicas: readonly Replica[];
  readonly taps: Readonly<Record<Tap['role'], Tap>>;
  readonly catalogue: Catalogue;
  readonly client: Client;
  readonly witness: Witness;
  readonly ledger: Ledger;
}

const calmTries = 40;
const drainMs = 15_000;
const holders = tenants.map(({ name }) => name).filter(hasSecret);
/** tsx and a V8 with all its source maps; a copy must not add to it without end. */
const maxMemoryMiB = 400;

/** When nothing goes wrong any more, everything that can be had is had, in its present form, without anybody's help. */
export async function recover({ catalogue, ...after }: Aftermath): Promise<void> {
  const wanted = catalogue.all.filter(({ isThere, isDryOnly }) => isThere && !isDryOnly);
  const asked = wanted.flatMap((published) => {
    const namespaces = published.role === 'safe' ? holders : ['calm'];
    return namespaces.map((namespace) => recoverOne(published, namespace, after));
  });
  await Promise.all(asked);
}

async function recoverOne(
  published: Published,
  namespace: string,
  { client, taps, witness, ledger }: Omit<Aftermath, 'catalogue'>,
): Promise<void> {
  const { repository, tag, role, history } = published;
  const write = toPod(`${taps[role].host}/${repository}:${tag}`, published, namespace);
  let said = '';
  for (let tries = 0; tries < calmTries; tries += 1) {
    const { status, verdict } = await client.write(write);
    if (status === 'admitted' && verdict.warnings.length === 0) {
      await auditAdmitted(write, verdict, { backup: taps.backup.host, witness, ledger });
      const [, path = '', held = ''] =
        /^[^/]+\/([^:]+):(.+)$/.exec(String(verdict.patch?.[1]?.value)) ?? [];
      const digest = await witness.digest(path, held);
      ledger.check(
        'after the storm every backup is what its source holds now',
        digest === history.at(-1),
        () => `${repository}:${tag} is ${digest ?? 'nothing'}, and not ${history.at(-1) ?? ''}`,
      );
      return;
    }
    said = [verdict.message, ...verdict.warnings].join(', ');
    await delay(500);
  }
  ledger.broken('after the storm everything works again by itself', `${repository}: ${said}`);
}

/** A push that never ends, while all is calm: what was begun for it at the backup is given up there, and never admitted. */
export async function breakPushes({ catalogue, ...after }: Aftermath): Promise<void> {
  const { client, taps, witness, ledger } = after;
  const broken = catalogue.all.filter(({ repository }) => repository.startsWith('moving/'));
  await Promise.all(
    broken.map(async (published) => {
      catalogue.breakOff(published);
      const { role, repository, tag } = published;
      const write = toPod(`${taps[role].host}/${repository}:${tag}`, published, 'calm');
      const { status, verdict } = await client.write(write);
      ledger.count(`pushes broken off in the calm, ${status}`);
      if (status !== 'admitted') return;
      await auditAdmitted(write, verdict, { backup: taps.backup.host, witness, ledger });
    }),
  );
}

/** Dry runs are seen by nobody but the sources. */
export async function auditDryRuns({ taps, witness, ledger }: Aftermath): Promise<void> {
  const written = taps.backup.requests.filter(
    ({ method, repository }) =>
      repository.includes('dry__') && method !== 'GET' && method !== 'HEAD',
  );
  const held = (await witness.repositories()).filter((name) => name.includes('dry__'));
  ledger.check('dry runs write nothing', written.length === 0 && held.length === 0, () =>
    [...written.map(({ method, path }) => `${method} ${path}`), ...held].join(', '),
  );
}

/** Each registry sees its own credentials, and nobody else any. */
export function auditExposure(
  secrets: readonly Secret[],
  places: readonly Exposed[],
  { replicas, taps, ledger }: Aftermath,
): void {
  auditSecrets(
    secrets,
    [
      ...places,
      ...replicas.map(({ name, output }) => ({ place: `log of ${name}`, text: output() })),
    ],
    ledger,
  );
  for (const { role, requests } of Object.values(taps)) {
    const others = secrets.filter(({ owner }) => owner !== role);
    const text = requests.map(({ path, authorization }) => `${path} ${authorization}`).join('\n');
    auditSecrets(others, [{ place: `what the ${role} was sent`, text }], ledger);
  }
}

/** Who has come to rest has read the new one, and needs no restart for it. */
export function auditOldPassword(old: string, since: number, { taps, ledger }: Aftermath): void {
  const late = taps.backup.requests.filter(
    ({ at, authorization }) => at > since && authorization.includes(old),
  );
  ledger.check('after the storm the rotated password is not used any more', late.length === 0, () =>
    late.map(({ method, path }) => `${method} ${path}`).join(', '),
  );
}

/** SIGTERM ends each replica by itself, and nothing is left of it. */
export async function auditEnds({ replicas, taps, ledger }: Aftermath): Promise<void> {
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
      'SIGTERM ends an idle replica with 0',
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
  // The last FIN may still be on its way.
  await delay(200);
  for (const tap of Object.values(taps)) {
    ledger.check(
      'no connection is left behind',
      tap.openConnections() === 0,
      () => `${tap.openConnections()} to the ${tap.role}`,
    );
  }
}
