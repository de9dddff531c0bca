import type { Asked, Route } from './asked.ts';
import type { Dice } from './random.ts';

/** Which registry a request goes to: three where images come from, and the backup. */
export type Role = 'hub' | 'vault' | 'safe' | 'backup';

type StatusFault = `status-${401 | 403 | 404 | 408 | 413 | 429 | 500 | 502 | 503 | 507}`;

/** What can happen to one request. */
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
  | 'redirect-stranger'
  | 'realm-stranger'
  | 'location-stranger'
  | 'slow-answer'
  | 'slow-upload'
  | 'upload-cut'
  | 'upload-lost';

/** What happens to whole servers and repositories, by the timeline or by a busy machine. */
export type StateKind = 'down' | 'silent' | 'gone' | 'broken-push' | 'rotated' | 'late';

/** One thing that went wrong, for whoever has to judge whether a refusal was true. */
export interface FaultRecord {
  readonly role: Role | 'cluster';
  /** Empty: it was about the whole registry. */
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
  'realm-stranger',
] as const satisfies readonly FaultKind[];
const reading = ['redirect-circle', 'redirect-stranger'] as const satisfies readonly FaultKind[];
const body = ['truncate', 'corrupt', 'lying-length'] as const satisfies readonly FaultKind[];
const writing = [
  'status-413',
  'status-507',
  'slow-upload',
  'upload-cut',
] as const satisfies readonly FaultKind[];

/** A 401 for the question whether anybody is there would be one of the right answers. */
const kindsByRoute: Readonly<Record<Route, readonly [FaultKind, ...FaultKind[]]>> = {
  base: ['reset', 'stall', 'status-500', 'status-503', 'status-429'],
  token: ['reset', 'stall', 'status-401', 'status-500', 'status-503', 'truncate', 'corrupt'],
  'manifest-head': [...everywhere, ...reading, 'lying-digest'],
  'manifest-get': [...everywhere, ...reading, ...body, 'lying-digest', 'status-429'],
  'manifest-put': [...everywhere, ...writing],
  'blob-head': [...everywhere, ...reading, 'lying-digest'],
  'blob-get': [...everywhere, ...reading, ...body],
  'upload-post': [...everywhere, 'location-stranger', 'status-507'],
  'upload-put': [...everywhere, ...writing, 'upload-lost'],
  other: ['reset', 'stall', 'status-404', 'status-500', 'status-503'],
};

export function isStatusFault(kind: FaultKind): kind is StatusFault {
  return kind.startsWith('status-');
}

/** Images whose way nothing stands in, so that a refusal of one is a lie. */
export function isQuiet(repository: string): boolean {
  return repository.includes('quiet');
}

/** Draws from the seed what becomes of the nth request of a kind. */
export interface FaultDraw {
  draw(role: Role, asked: Asked): FaultKind | undefined;
}

export function createFaultDraw(dice: Dice, probability: number): FaultDraw {
  const counts = new Map<string, number>();
  return {
    draw(role, { route, repository, reference }) {
      const place = `${role} ${route} ${repository}`;
      const nth = (counts.get(place) ?? 0) + 1;
      counts.set(place, nth);
      // What belongs to no repository belongs to the quiet ones, too: of the hub and the backup it stays whole.
      const isShared = repository === '' && (role === 'hub' || role === 'backup');
      if (isQuiet(repository) || isShared) return undefined;
      if (!dice.chance(probability, 'fault?', place, nth)) return undefined;
      const kind = dice.pick(kindsByRoute[route], 'fault', place, nth);
      return isDeniedMark(role, reference, kind) ? undefined : kind;
    },
  };
}

/**
 * That a copy is private stands in the backup, in the tags `private.…`, and nowhere else once its source is gone: a backup that
 * says of such a tag that it has none is believed. Every other failure to answer keeps the copy shut.
 */
function isDeniedMark(role: Role, reference: string, kind: FaultKind): boolean {
  return role === 'backup' && reference.startsWith('private.') && kind === 'status-404';
}
