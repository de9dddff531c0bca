import type { Verdict } from '../answer.ts';
import type { FaultRecord, Role } from '../faults.ts';
import type { Ledger } from '../ledger.ts';
import type { Wish, Write } from '../workload.ts';
import { isClosedTo, type Opened } from './opened.ts';
import type { Watch } from './watch.ts';

export interface RefusedAudit {
  readonly faults: () => readonly FaultRecord[];
  readonly watch: Watch;
  readonly opened: Opened;
  readonly ledger: Ledger;
}

/** One reason, and whose containers it is about. */
export interface Obstacle {
  readonly text: string;
  readonly why: string;
  readonly wishes: readonly Wish[];
}

/** A failure may be told for so long after it happened. */
const memoryMs = 75_000;

type Kinds = readonly FaultRecord['kind'][] | 'any';

/** What a person may be told, and what must have happened for it to be true. */
const reasons: readonly (readonly [RegExp, Kinds])[] = [
  [
    /does not exist on|does not know|does not have/,
    ['status-404', 'lying-digest', 'upload-lost', 'gone', 'broken-push', 'redirect-stranger'],
  ],
  [
    /does not let us read|denied access to|refuses the credentials|rejected the credentials/,
    ['status-401', 'status-403', 'realm-stranger', 'corrupt', 'truncate', 'rotated'],
  ],
  [/limits (how often|requests)|rate limit/, ['status-429']],
  [/too large \(413\)/, ['status-413']],
  [/no space left/, ['status-507']],
  [/was not written by image-cloner/, ['status-404', 'status-403', 'lying-digest', 'status-401']],
  [
    /cannot be reached|has trouble with|returned an error for|did not serve|did not (take|accept)/,
    'any',
  ],
  [/did not say within|did not answer|gave no usable answer|answered so late/, 'any'],
  [/cannot be copied|has lost|is not whole|is incomplete/, 'any'],
];

/** Told beside a refusal of another image, and to who is never told to come back. */
export function isPending(why: string): boolean {
  return /still copying|waits to be copied|the copy queue is full/.test(why);
}

/** Once it is known to be down it is not asked for each image anew. */
const outageWords = /(did not answer|gave no usable answer) .* ago/;

/** The right answer to who has no credentials. */
export const denial = /does not let us read|denied access to/;
/** Without the secrets, or with what an API server that is silent has left of the time. */
const muteness =
  /(does not let us read|denied access to) .*; its pull secrets could not be read|did not say within 0\.\d+ s/;

/** What is checked of a write that was refused: every reason must be one that was true. */
export function auditRefused(
  write: Write,
  { message, code, reason }: Verdict,
  askedAt: number,
  audit: RefusedAudit,
): void {
  const { ledger } = audit;
  ledger.check(
    'a refusal has its code and reason',
    code === 403 && reason === 'Forbidden',
    () => `write ${write.nth}: ${code} ${reason}`,
  );
  for (const { text, why, wishes } of readObstacles(write, message)) {
    if (isPending(why)) continue;
    const [wish] = wishes;
    // What the source did, and why the backup did not help.
    for (const clause of why.split(/; (?=\S+ in the backup was not written by)/)) {
      const known = reasons.find(([pattern]) => pattern.test(clause));
      ledger.check(
        'every refusal names the container and a reason',
        wish !== undefined && known !== undefined,
        () => `write ${write.nth}: ${text}`,
      );
      if (wish === undefined || known === undefined) continue;
      // The image as written precedes a reason that does not name it.
      const isBackups = /^(\S+: )?(the backup registry|\S+ (exists )?in the backup)/.test(clause);
      const role = isBackups ? 'backup' : wish.published.role;
      judge(write, wish, role, clause, known[1], askedAt, audit);
      if (/within 0\.0\d s/.test(clause)) ledger.count('refused for a silence of no time at all');
    }
  }
}

/** Takes a refusal apart. */
export function readObstacles({ wishes }: Write, message: string): readonly Obstacle[] {
  return message.split(/; (?=(?:init )?container ")/).map((text) => {
    const [, labels = '', why = ''] =
      /^((?:(?:init )?container "c\d"(?:, )?)+): (.*)$/.exec(text) ?? [];
    const named = [...labels.matchAll(/"c(\d)"/g)].flatMap(([, n]) => wishes[Number(n)] ?? []);
    return { text, why, wishes: named };
  });
}

function judge(
  { nth, namespace }: Write,
  wish: Wish,
  role: Role,
  why: string,
  kinds: Kinds,
  askedAt: number,
  { faults, watch, opened, ledger }: RefusedAudit,
): void {
  const isOutage = outageWords.test(why);
  const touching = faults().filter(
    (fault) => (touches(fault, wish) || (isOutage && fault.role === role)) && isInTime(fault),
  );
  const blamed = touching.filter(
    (fault) =>
      (fault.role === role || fault.kind === 'late') &&
      (kinds === 'any' || kinds.includes(fault.kind)),
  );
  const isKeptOut = isClosedTo(namespace, wish) && denial.test(why);
  const isMute = muteness.test(why) && touching.some((fault) => fault.role === 'cluster');
  ledger.check(
    'every refusal had a reason that was true',
    blamed.length > 0 || isKeptOut || isMute,
    () =>
      `write ${nth}, ${wish.image}: "${why}", but what happened was ${[...new Set(touching.map((fault) => `${fault.role} ${fault.kind}`))].join(', ') || 'nothing'}`,
  );
  // A backup that could be asked is used, whatever the source does.
  const isAsked = !touching.some((fault) => fault.role === 'backup');
  const { repository, tag } = wish.published;
  const isPrivate = wish.published.role === 'safe';
  ledger.check(
    'what is in the backup is used when the source fails',
    role === 'backup' ||
      wish.pinned !== undefined ||
      !isAsked ||
      (isPrivate && !opened.had(namespace, wish.published, askedAt)) ||
      !watch.hadCopyBefore(repository.replaceAll('/', '__'), tag, askedAt),
    () => `write ${nth}, ${wish.image}: "${why}", although there was a copy`,
  );
}

/** Copies are named after their source; who limits how often he may be asked means all of his images. */
function touches({ role, kind, repository }: FaultRecord, { published }: Wish): boolean {
  if (kind === 'late') return true;
  if (role === 'cluster') return true;
  if (kind === 'status-429' && (role === 'backup' || role === published.role)) return true;
  if (role === 'backup') {
    return repository === '' || repository.includes(published.repository.replaceAll('/', '__'));
  }
  return role === published.role && (repository === '' || repository === published.repository);
}

/** What is gone or broken stays so. */
function isInTime({ kind, at }: FaultRecord): boolean {
  return kind === 'gone' || kind === 'broken-push' || at > Date.now() - memoryMs;
}
