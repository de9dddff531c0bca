import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../real/support/eventually.ts';
import { sendRequest } from '../../real/support/request.ts';
import type { Ledger } from '../ledger.ts';
import type { Replica } from '../replica.ts';

/** Looks at the uploads that were begun at the backup, and neither ended nor given up. */
export interface SessionAudit {
  /** To be called when nothing went wrong since: no session was added. */
  finish(): Promise<void>;
}

export interface SessionAuditOptions {
  readonly replicas: readonly Replica[];
  /** Names of the open ones. */
  readonly openUploads: () => Promise<readonly string[]>;
  /** Replicas that share Leases: for some seconds after the API server was away each goes without. */
  readonly hasCluster: boolean;
  readonly ledger: Ledger;
}

/** What was begun in the storm ends soon when nothing stands in its way. */
const restMs = 90_000;
/** A registry may still be reading what a tap sent on. */
const settleMs = 500;
/** So long a replica does not ask an API server again that did not answer; until then two may be in each other's way. */
const gateMs = 6_000;

/** What kills and cut connections have left cannot be avoided: it is counted, and from here on there must be no more. */
export async function startSessionAudit(options: SessionAuditOptions): Promise<SessionAudit> {
  const { replicas, openUploads, hasCluster, ledger } = options;

  async function look(): Promise<readonly string[]> {
    await eventually('all replicas are at rest', () => areAtRest(replicas), restMs);
    await delay(settleMs);
    return await openUploads();
  }

  if (hasCluster) await delay(gateMs);
  const before = new Set(await look());
  ledger.count('upload sessions left by kills and cut connections', before.size);
  return {
    async finish() {
      const added = (await look()).filter((session) => !before.has(session));
      ledger.check(
        'no upload session is left behind when nothing goes wrong',
        added.length === 0,
        () => `${added.length} were added: ${added.join(', ')}`,
      );
    },
  };
}

async function areAtRest(replicas: readonly Replica[]): Promise<boolean> {
  const pages = await Promise.all(replicas.map(({ url }) => sendRequest(`${url}/metrics`)));
  return pages.every(({ body }) =>
    ['in_flight', 'waiting'].every((what) => body.includes(`\nimage_cloner_clones_${what} 0\n`)),
  );
}
