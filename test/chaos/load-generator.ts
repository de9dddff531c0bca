import { applyPatch } from './answer.ts';
import { auditAdmitted } from './audit/admitted.ts';
import type { PrivateAccess } from './audit/private-access.ts';
import { auditRefused } from './audit/refused.ts';
import type { RegistryReader } from './audit/registry-reader.ts';
import type { TagHistory } from './audit/tag-history.ts';
import type { Catalogue } from './catalogue.ts';
import type { Client } from './client.ts';
import type { Ledger } from './ledger.ts';
import type { Dice } from './random.ts';
import type { FaultRecord } from './servers/faults.ts';
import type { RegistryProxy } from './servers/registry-proxy.ts';
import type { Incident } from './timeline.ts';
import { drawWrite, type Write } from './workload.ts';

export interface LoadOptions {
  readonly dice: Dice;
  readonly writes: number;
  readonly seconds: number;
  readonly parallel: number;
  readonly timeline: readonly Incident[];
  readonly happen: (incident: Incident) => void;
  readonly client: Client;
  readonly catalogue: Catalogue;
  readonly proxies: Readonly<Record<RegistryProxy['role'], RegistryProxy>>;
  readonly faults: () => readonly FaultRecord[];
  readonly registryReader: RegistryReader;
  readonly privateAccess: PrivateAccess;
  readonly tagHistory: TagHistory;
  readonly ledger: Ledger;
}

/** Sends concurrent writes and triggers the timeline's incidents; ends after the last write or the time limit. */
export async function runLoad(options: LoadOptions): Promise<void> {
  const { dice, writes, seconds, parallel, timeline, happen, catalogue, proxies } = options;
  const beganAt = Date.now();
  const endsAt = beganAt + seconds * 1_000;
  const hosts = { hub: proxies.hub.host, vault: proxies.vault.host, safe: proxies.safe.host };
  let begun = 0;
  let happened = 0;

  async function writeOn(): Promise<void> {
    while (begun < writes && Date.now() < endsAt) {
      begun += 1;
      // If the time does not suffice for all writes, the incidents happen all the same.
      const byTime = ((Date.now() - beganAt) / (seconds * 1_000)) * writes;
      const now = Math.max(begun, byTime);
      for (; (timeline[happened]?.at ?? Number.POSITIVE_INFINITY) <= now; happened += 1) {
        const incident = timeline[happened];
        if (incident !== undefined) happen(incident);
      }
      await writeOnce(drawWrite(dice, begun, catalogue, hosts), options);
    }
  }

  await Promise.all(Array.from({ length: parallel }, writeOn));
  for (; happened < timeline.length; happened += 1) {
    const incident = timeline[happened];
    // Outages that were to end must end.
    if (incident?.what.endsWith(' up') === true) happen(incident);
  }
}

/** Sends one write until it has an outcome, audits it, and sometimes applies the same manifest again. */
async function writeOnce(write: Write, options: LoadOptions): Promise<void> {
  const { client, ledger, proxies, registryReader, privateAccess, dice } = options;
  const { status, verdict, askedAt } = await client.write(write);
  ledger.count(status);
  if (status === 'denied') auditRefused(write, verdict, askedAt, options);
  if (status !== 'admitted') return;
  privateAccess.note(write);
  await auditAdmitted(write, verdict, { backup: proxies.backup.host, registryReader, ledger });
  if (write.isDryRun || !dice.chance(0.3, 'again?', write.nth)) return;

  const stored = applyPatch(write.object, verdict.patch ?? []);
  const { hangUpAfterMs: _hangUp, ...uninterrupted } = write;
  const again = await client.write(uninterrupted, stored);
  ledger.count('written again');
  ledger.check(
    'the same manifest applied again stores the same object',
    again.status === 'admitted' &&
      JSON.stringify(applyPatch(write.object, again.verdict.patch ?? [])) ===
        JSON.stringify(stored),
    () => `write ${write.nth}: ${again.verdict.message}`,
  );
}
