import type { Dice } from '../random.ts';
import type { ParsedRequest, Route } from './parse-request.ts';

/** The registry that a request goes to: one of three sources, or the backup. */
export type Role = 'hub' | 'vault' | 'safe' | 'backup';

type StatusFault = `status-${401 | 403 | 404 | 408 | 413 | 429 | 500 | 502 | 503 | 507}`;

/** A fault of one request. */
export type FaultKind =
  | StatusFault
  | 'reset'
  | 'answer-lost'
  | 'stall'
  | 'truncate'
  | 'corrupt'
  | 'lying-digest'
  | 'lying-length'
  | 'redirect-circle'
  | 'redirect-foreign'
  | 'realm-foreign'
  | 'location-foreign'
  | 'slow-answer'
  | 'slow-upload'
  | 'upload-cut'
  | 'upload-lost';

/** A fault of a whole server or repository, from the timeline or from event loop lag. */
export type StateKind = 'down' | 'silent' | 'gone' | 'broken-push' | 'rotated' | 'late';

/** A fault that occurred, as evidence for auditing refusals. */
export interface FaultRecord {
  readonly role: Role | 'cluster';
  /** Empty for the whole registry. */
  readonly repository: string;
  readonly kind: FaultKind | StateKind;
  readonly at: number;
}

const everywhere = [
  'reset',
  'answer-lost',
  'stall',
  'slow-answer',
  'status-401',
  'status-403',
  'status-404',
  'status-408',
  'status-500',
  'status-502',
  'status-503',
  'realm-foreign',
] as const satisfies readonly FaultKind[];
const reading = ['redirect-circle', 'redirect-foreign'] as const satisfies readonly FaultKind[];
const body = ['truncate', 'corrupt', 'lying-length'] as const satisfies readonly FaultKind[];
const writing = [
  'status-413',
  'status-507',
  'slow-upload',
  'upload-cut',
] as const satisfies readonly FaultKind[];

/** 401 is a valid response to the ping (`/v2/`), so it is no fault there. */
const kindsByRoute: Readonly<Record<Route, readonly [FaultKind, ...FaultKind[]]>> = {
  base: ['reset', 'stall', 'status-500', 'status-503', 'status-429'],
  token: ['reset', 'stall', 'status-401', 'status-500', 'status-503', 'truncate', 'corrupt'],
  'manifest-head': [...everywhere, ...reading, 'lying-digest'],
  'manifest-get': [...everywhere, ...reading, ...body, 'lying-digest', 'status-429'],
  'manifest-put': [...everywhere, ...writing],
  'blob-head': [...everywhere, ...reading, 'lying-digest'],
  'blob-get': [...everywhere, ...reading, ...body],
  'upload-post': [...everywhere, 'location-foreign', 'status-507'],
  'upload-put': [...everywhere, ...writing, 'upload-lost'],
  other: ['reset', 'stall', 'status-404', 'status-500', 'status-503'],
};

export function isStatusFault(kind: FaultKind): kind is StatusFault {
  return kind.startsWith('status-');
}

/** Images that never meet a fault, so that every refusal of one is wrong. */
function isFaultFree(repository: string): boolean {
  return repository.includes('stable');
}

/** Draws the fault of the nth request of a kind from the seed. */
export interface FaultDraw {
  draw(role: Role, request: ParsedRequest): FaultKind | undefined;
}

export function createFaultDraw(dice: Dice, probability: number): FaultDraw {
  const counts = new Map<string, number>();
  return {
    draw(role, { route, repository, reference }) {
      const place = `${role} ${route} ${repository}`;
      const nth = (counts.get(place) ?? 0) + 1;
      counts.set(place, nth);
      // Requests without a repository also serve the fault-free images, so hub and backup answer them without faults.
      const isShared = repository === '' && (role === 'hub' || role === 'backup');
      if (isFaultFree(repository) || isShared) return undefined;
      if (!dice.chance(probability, 'fault?', place, nth)) return undefined;
      const kind = dice.pick(kindsByRoute[route], 'fault', place, nth);
      return isDeniedMark(role, reference, kind) ? undefined : kind;
    },
  };
}

/**
 * Once the source is gone, only the backup's tags `private.…` record that a copy is private, and a 404 for such a tag is believed.
 * Every other failure keeps the copy private.
 */
function isDeniedMark(role: Role, reference: string, kind: FaultKind): boolean {
  return role === 'backup' && reference.startsWith('private.') && kind === 'status-404';
}
