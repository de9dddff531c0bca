import type { Verdict } from '../answer.ts';
import type { Ledger } from '../ledger.ts';
import type { FaultRecord, Role } from '../servers/faults.ts';
import type { Wish, Write } from '../workload.ts';
import { isForbiddenTo, type PrivateAccess } from './private-access.ts';
import type { TagHistory } from './tag-history.ts';

export interface RefusedAudit {
  readonly faults: () => readonly FaultRecord[];
  readonly tagHistory: TagHistory;
  readonly privateAccess: PrivateAccess;
  readonly ledger: Ledger;
}

/** One reason of a refusal, and the images that it concerns. */
export interface Obstacle {
  readonly text: string;
  readonly why: string;
  readonly wishes: readonly Wish[];
}

/** A failure may be reported this long after it happened. */
const memoryMs = 75_000;

type Kinds = readonly FaultRecord['kind'][] | 'any';

/** Reasons that a refusal may give, and the faults that justify each. */
const reasons: readonly (readonly [RegExp, Kinds])[] = [
  [
    /does not exist on|does not know|does not have/,
    ['status-404', 'lying-digest', 'upload-lost', 'gone', 'broken-push', 'redirect-foreign'],
  ],
  [
    /does not let us read|denied access to|refuses the credentials|rejected the credentials/,
    ['status-401', 'status-403', 'realm-foreign', 'corrupt', 'truncate', 'rotated'],
  ],
  [/limits (how often|requests)|rate limit/, ['status-429']],
  [/too large \(413\)/, ['status-413']],
  [/no space left/, ['status-507']],
  [/was not written by image-cloner/, ['status-404', 'status-403', 'lying-digest', 'status-401']],
  [
    /cannot be reached|has trouble with|returned an error for|did not serve|did not (take|accept)/,
    'any',
  ],
  [/did not say within|did not answer|gave no usable answer|answered too late/, 'any'],
  [/cannot be copied|has lost|is not whole|is incomplete/, 'any'],
];

/** Given beside the refusal of another image, and to controllers, which get no Retry-After. */
export function isPending(why: string): boolean {
  return /still copying|waits to be copied|the copy queue is full/.test(why);
}

/** Given without a request while the circuit breaker is open. */
const outageWords = /(did not answer|gave no usable answer) .* ago/;

/** The correct response without credentials. */
export const denial = /does not let us read|denied access to/;
/** Without the secrets, or with the time that a silent API server has left. */
const muteness =
  /(does not let us read|denied access to) .*; its pull secrets could not be read|did not say within 0\.\d+ s/;

/** Audits a refused write: faults must justify every reason. */
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
    // The source's failure, then the reason why the backup was not used.
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
      if (/within 0\.0\d s/.test(clause)) ledger.count('refused for a timeout below 0.1 s');
    }
  }
}

/** Splits a refusal into its reasons. */
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
  { faults, tagHistory, privateAccess, ledger }: RefusedAudit,
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
  const isKeptOut = isForbiddenTo(namespace, wish) && denial.test(why);
  const isMute = muteness.test(why) && touching.some((fault) => fault.role === 'cluster');
  ledger.check(
    'faults justify every reason of a refusal',
    blamed.length > 0 || isKeptOut || isMute,
    () =>
      `write ${nth}, ${wish.image}: "${why}", but what happened was ${[...new Set(touching.map((fault) => `${fault.role} ${fault.kind}`))].join(', ') || 'nothing'}`,
  );
  // A reachable backup is used whatever the source does.
  const isAsked = !touching.some((fault) => fault.role === 'backup');
  const { repository, tag } = wish.published;
  const isPrivate = wish.published.role === 'safe';
  ledger.check(
    'the backup is used when the source fails',
    role === 'backup' ||
      wish.pinned !== undefined ||
      !isAsked ||
      (isPrivate && !privateAccess.had(namespace, wish.published, askedAt)) ||
      !tagHistory.hadCopyBefore(repository.replaceAll('/', '__'), tag, askedAt),
    () => `write ${nth}, ${wish.image}: "${why}", although there was a copy`,
  );
}

/** Copies are named after their source; a rate limit concerns all images of the registry. */
function touches({ role, kind, repository }: FaultRecord, { published }: Wish): boolean {
  if (kind === 'late') return true;
  if (role === 'cluster') return true;
  if (kind === 'status-429' && (role === 'backup' || role === published.role)) return true;
  if (role === 'backup') {
    return repository === '' || repository.includes(published.repository.replaceAll('/', '__'));
  }
  return role === published.role && (repository === '' || repository === published.repository);
}

/** A removed repository and an interrupted push are permanent. */
function isInTime({ kind, at }: FaultRecord): boolean {
  return kind === 'gone' || kind === 'broken-push' || at > Date.now() - memoryMs;
}
