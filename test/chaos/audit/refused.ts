import type { Verdict } from '../answer.ts';
import type { Ledger } from '../ledger.ts';
import type { FaultRecord, Role } from '../servers/faults.ts';
import type { RequestedImage, Write } from '../workload.ts';
import { isForbiddenTo, type PrivateAccess } from './private-access.ts';
import type { TagHistory } from './tag-history.ts';

export interface RefusedAudit {
  readonly faults: () => readonly FaultRecord[];
  readonly tagHistory: TagHistory;
  readonly privateAccess: PrivateAccess;
  readonly ledger: Ledger;
}

/** One reason of a refusal, and the images that it concerns. */
export interface Reason {
  readonly text: string;
  readonly why: string;
  readonly requestedImages: readonly RequestedImage[];
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
    /denied access to|rejected the credentials/,
    ['status-401', 'status-403', 'realm-foreign', 'corrupt', 'truncate', 'rotated'],
  ],
  [/limits requests|rate limit/, ['status-429']],
  [/too large \(413\)/, ['status-413']],
  [/no (space|storage) left/, ['status-507']],
  [/keeps another image/, ['lying-digest']],
  [/was not written by image-cloner/, ['status-404', 'status-403', 'lying-digest', 'status-401']],
  [/cannot be reached|returned an error for|did not serve|did not accept/, 'any'],
  [/did not say within|did not answer|gave no usable answer|answered too late/, 'any'],
  [/cannot be copied|has lost|is incomplete/, 'any'],
];

/** Given beside the refusal of another image, and to controllers, which get no Retry-After. */
export function isPending(why: string): boolean {
  return /still copying|waits to be copied|is not copied yet|the copy queue is full/.test(why);
}

/** Given without a request while the circuit breaker is open. */
const outageWords = /(did not answer|gave no usable answer) .* ago/;

/** Faults of the source take time that the backup then lacks. */
const timeoutWords = /did not answer in time/;

/** The correct response without credentials. */
export const denial = /denied access to/;
/** Without the secrets, or with the time that a silent API server has left. */
const apiServerOutageWords =
  /denied access to .*; its pull secrets could not be read|did not say within 0\.\d+ s/;

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
  for (const { text, why, requestedImages } of readReasons(write, message)) {
    if (isPending(why)) continue;
    const [requested] = requestedImages;
    // The backup's failure and the source's, then the reason why the backup was not used.
    for (const clause of why.split(/; and |; (?=\S+ in the backup was not written by)/)) {
      const known = reasons.find(([pattern]) => pattern.test(clause));
      ledger.check(
        'every refusal names the container and a reason',
        requested !== undefined && known !== undefined,
        () => `write ${write.nth}: ${text}`,
      );
      if (requested === undefined || known === undefined) continue;
      // The image as written precedes a reason that does not name it.
      const isBackups = /^(\S+: )?(the backup registry|\S+ (exists )?in the backup)/.test(clause);
      const role = isBackups ? 'backup' : requested.published.role;
      auditReason(write, requested, role, clause, known[1], askedAt, audit);
      if (/within 0\.0\d s/.test(clause)) ledger.count('refused for a timeout below 0.1 s');
    }
  }
}

/** Splits a refusal into its reasons. */
export function readReasons({ requestedImages }: Write, message: string): readonly Reason[] {
  return message.split(/; (?=(?:init )?container ")/).map((text) => {
    const [, labels = '', why = ''] =
      /^((?:(?:init )?container "c\d"(?:, )?)+): (.*)$/.exec(text) ?? [];
    const named = [...labels.matchAll(/"c(\d)"/g)].flatMap(
      ([, n]) => requestedImages[Number(n)] ?? [],
    );
    return { text, why, requestedImages: named };
  });
}

function auditReason(
  { nth, namespace }: Write,
  requested: RequestedImage,
  role: Role,
  why: string,
  kinds: Kinds,
  askedAt: number,
  { faults, tagHistory, privateAccess, ledger }: RefusedAudit,
): void {
  const isOutage = outageWords.test(why);
  const relevant = faults().filter(
    (fault) => (touches(fault, requested) || (isOutage && fault.role === role)) && isInTime(fault),
  );
  const justifying = relevant.filter(
    (fault) =>
      (fault.role === role || fault.kind === 'late' || timeoutWords.test(why)) &&
      (kinds === 'any' || kinds.includes(fault.kind)),
  );
  const isForbidden = isForbiddenTo(namespace, requested) && denial.test(why);
  const isApiServerOutage =
    apiServerOutageWords.test(why) && relevant.some((fault) => fault.role === 'cluster');
  ledger.check(
    'faults justify every reason of a refusal',
    justifying.length > 0 || isForbidden || isApiServerOutage,
    () =>
      `write ${nth}, ${requested.image}: "${why}", but the faults were ${[...new Set(relevant.map((fault) => `${fault.role} ${fault.kind}`))].join(', ') || 'nothing'}`,
  );
  // A reachable backup is used whatever the source does.
  const isBackupReachable = !relevant.some((fault) => fault.role === 'backup');
  const { repository, tag } = requested.published;
  const isPrivate = requested.published.role === 'safe';
  ledger.check(
    'the backup is used when the source fails',
    role === 'backup' ||
      requested.pinned !== undefined ||
      !isBackupReachable ||
      (isPrivate && !privateAccess.had(namespace, requested.published, askedAt)) ||
      !tagHistory.hadCopyBefore(repository.replaceAll('/', '__'), tag, askedAt),
    () => `write ${nth}, ${requested.image}: "${why}", although there was a copy`,
  );
}

/** Copies are named after their source; a rate limit concerns all images of the registry. */
function touches({ role, kind, repository }: FaultRecord, { published }: RequestedImage): boolean {
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
