import { applyPatch } from './answer.ts';
import { auditAdmitted } from './audit/admitted.ts';
import type { Opened } from './audit/opened.ts';
import { auditRefused } from './audit/refused.ts';
import type { Watch } from './audit/watch.ts';
import type { Witness } from './audit/witness.ts';
import type { Catalogue } from './catalogue.ts';
import type { Client } from './client.ts';
import type { FaultRecord } from './faults.ts';
import type { Ledger } from './ledger.ts';
import type { Dice } from './random.ts';
import type { Tap } from './tap.ts';
import type { Incident } from './timeline.ts';
import { drawWrite, type Write } from './workload.ts';

export interface CrowdOptions {
  readonly dice: Dice;
  readonly writes: number;
  readonly seconds: number;
  readonly parallel: number;
  readonly timeline: readonly Incident[];
  readonly happen: (incident: Incident) => void;
  readonly client: Client;
  readonly catalogue: Catalogue;
  readonly taps: Readonly<Record<Tap['role'], Tap>>;
  readonly faults: () => readonly FaultRecord[];
  readonly witness: Witness;
  readonly opened: Opened;
  readonly watch: Watch;
  readonly ledger: Ledger;
}

/** Many people writing at once, and what happens meanwhile; ends when all is written, or the time is over. */
export async function runCrowd(options: CrowdOptions): Promise<void> {
  const { dice, writes, seconds, parallel, timeline, happen, catalogue, taps } = options;
  const beganAt = Date.now();
  const endsAt = beganAt + seconds * 1_000;
  const hosts = { hub: taps.hub.host, vault: taps.vault.host, safe: taps.safe.host };
  let begun = 0;
  let happened = 0;

  async function writeOn(): Promise<void> {
    while (begun < writes && Date.now() < endsAt) {
      begun += 1;
      // Where there is no time for all that could be written, what was planned happens all the same.
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
    // What was to come back must come back.
    if (incident?.what.endsWith(' up') === true) happen(incident);
  }
}

/** One write to its end, everything that was promised about it, and the same manifest once more. */
async function writeOnce(write: Write, options: CrowdOptions): Promise<void> {
  const { client, ledger, taps, witness, opened, dice } = options;
  const { status, verdict, askedAt } = await client.write(write);
  ledger.count(status);
  if (status === 'denied') auditRefused(write, verdict, askedAt, options);
  if (status !== 'admitted') return;
  opened.note(write);
  await auditAdmitted(write, verdict, { backup: taps.backup.host, witness, ledger });
  if (write.isDryRun || !dice.chance(0.3, 'again?', write.nth)) return;

  const stored = applyPatch(write.object, verdict.patch ?? []);
  const { hangUpAfterMs: _hangUp, ...patient } = write;
  const again = await client.write(patient, stored);
  ledger.count('written again');
  ledger.check(
    'the same manifest again is the same write again',
    again.status === 'admitted' &&
      JSON.stringify(applyPatch(write.object, again.verdict.patch ?? [])) ===
        JSON.stringify(stored),
    () => `write ${write.nth}: ${again.verdict.message}`,
  );
}
