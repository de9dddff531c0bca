import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../real/support/eventually.ts';
import { sendRequest } from '../../real/support/request.ts';
import type { Ledger } from '../ledger.ts';
import type { Replica } from '../servers/replica.ts';

/** Audits the uploads at the backup that were neither completed nor cancelled. */
export interface SessionAudit {
  /** Checks that a phase without faults added no session. */
  finish(): Promise<void>;
}

export interface SessionAuditOptions {
  readonly replicas: readonly Replica[];
  /** Names of the open uploads. */
  readonly openUploads: () => Promise<readonly string[]>;
  /** Whether replicas share Leases; after an outage of the API server they go without for some seconds. */
  readonly hasCluster: boolean;
  readonly ledger: Ledger;
}

/** Copies begun under faults end within this time once the faults end. */
const idleMs = 90_000;
/** A registry may still be reading what a proxy forwarded. */
const settleMs = 500;
/** A replica skips an unresponsive API server for this time, during which two replicas may make the same copy. */
const leaseOutageMs = 6_000;

/** Kills and cut connections leave sessions behind: they are counted, and later phases must add none. */
export async function startSessionAudit(options: SessionAuditOptions): Promise<SessionAudit> {
  const { replicas, openUploads, hasCluster, ledger } = options;

  async function listWhenIdle(): Promise<readonly string[]> {
    await eventually('all replicas are idle', () => areIdle(replicas), idleMs);
    await delay(settleMs);
    return await openUploads();
  }

  if (hasCluster) await delay(leaseOutageMs);
  const before = new Set(await listWhenIdle());
  ledger.count('upload sessions left by kills and cut connections', before.size);
  return {
    async finish() {
      const added = (await listWhenIdle()).filter((session) => !before.has(session));
      ledger.check(
        'no upload session is left behind without faults',
        added.length === 0,
        () => `${added.length} were added: ${added.join(', ')}`,
      );
    },
  };
}

async function areIdle(replicas: readonly Replica[]): Promise<boolean> {
  const pages = await Promise.all(replicas.map(({ url }) => sendRequest(`${url}/metrics`)));
  return pages.every(({ body }) =>
    ['in_flight', 'waiting'].every((what) => body.includes(`\nimage_cloner_clones_${what} 0\n`)),
  );
}
