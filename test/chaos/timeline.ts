import type { Catalogue, Published } from './catalogue.ts';
import type { Dice } from './random.ts';
import type { Absence } from './servers/api-server-proxy.ts';
import type { Cluster } from './servers/cluster.ts';
import type { RegistryProxy } from './servers/registry-proxy.ts';
import type { Replica } from './servers/replica.ts';

/** What happens after a number of writes. */
export interface Incident {
  readonly at: number;
  readonly what: string;
  readonly happen: (stage: Stage) => void;
}

/** The components that incidents affect. */
interface Stage {
  readonly replicas: readonly [Replica, ...Replica[]];
  readonly catalogue: Catalogue;
  readonly proxies: Readonly<Record<RegistryProxy['role'], RegistryProxy>>;
  readonly cluster: Pick<Cluster, 'setAway'> | undefined;
  /** Rotates the credentials of the backup and of the secret. */
  readonly rotate: () => void;
  /** Restarts a replica. */
  readonly restart: (replica: Replica, signal: 'SIGKILL' | 'SIGTERM') => void;
}

/** One is interrupted by incidents; the other is tracked for private access. */
const unmoved = ['moving/app-1', 'closed/app-2'];

/** Draws all incidents of a run, in order. */
export function drawTimeline(dice: Dice, writes: number, hasCluster: boolean): readonly Incident[] {
  const at = (part: number): number => Math.floor(part * writes);
  const times = Math.max(2, Math.round(writes / 25));
  const each = <Made>(count: number, make: (n: number) => Made): readonly Made[] =>
    Array.from({ length: count }, (_, n) => make(n));

  const kills = each(times, (n): Incident => {
    const signal = dice.chance(0.7, 'signal', n) ? 'SIGKILL' : 'SIGTERM';
    return {
      at: at(dice.roll('kill at', n)),
      what: signal,
      happen: ({ replicas, restart }) => restart(dice.pick(replicas, 'killed', n), signal),
    };
  });
  const moves = each(times, (n): Incident => {
    return {
      at: at(dice.roll('move at', n)),
      what: 'tag moved',
      happen: ({ catalogue }) => {
        const movable = catalogue.all.filter(isMovable);
        const moved = movable[dice.below(movable.length, 'moved', n)];
        if (moved !== undefined) catalogue.move(moved);
      },
    };
  });
  const broken: Incident = {
    at: at(0.3 + 0.3 * dice.roll('broken at')),
    what: 'broken push',
    happen: ({ catalogue, proxies }) => {
      const pushed = catalogue.all.find(({ repository }) => repository === 'moving/app-1');
      if (pushed === undefined) return;
      catalogue.breakOff(pushed);
      pushed.isThere = false;
      proxies[pushed.role].note('broken-push', pushed.repository);
    },
  };
  const goneNames = ['gone/app-0', 'gone/app-1', ...(hasCluster ? ['closed/app-2'] : [])];
  const gone = goneNames.map((repository): Incident => {
    return {
      at: at(0.5 + 0.3 * dice.roll('gone at', repository)),
      what: 'source gone for good',
      happen: ({ catalogue, proxies }) => {
        for (const published of catalogue.all) {
          if (published.repository !== repository) continue;
          published.isThere = false;
          proxies[published.role].forget(repository);
        }
      },
    };
  });
  const rotated: Incident = {
    at: at(0.2 + 0.5 * dice.roll('rotated at')),
    what: 'password rotated',
    happen: ({ rotate }) => rotate(),
  };
  return [
    ...kills,
    ...moves,
    broken,
    ...gone,
    rotated,
    ...drawOutage(dice, 'hub', at),
    ...drawOutage(dice, 'backup', at),
    ...(hasCluster
      ? [
          ...drawOutage(dice, 'safe', at),
          ...drawAbsence(dice, 'down', at),
          ...drawAbsence(dice, 'silent', at),
        ]
      : []),
  ].toSorted((one, other) => one.at - other.at);
}

/** A temporary outage of a registry. */
function drawOutage(
  dice: Dice,
  role: RegistryProxy['role'],
  at: (part: number) => number,
): readonly Incident[] {
  const begin = 0.2 + 0.6 * dice.roll('outage', role);
  const end = begin + 0.05 + 0.05 * dice.roll('outage ends', role);
  const set = (part: number, isDown: boolean): Incident => ({
    at: at(part),
    what: `${role} ${isDown ? 'down' : 'up'}`,
    happen: ({ proxies }) => proxies[role].setDown(isDown),
  });
  return [set(begin, true), set(end, false)];
}

/** A temporary outage of the API server; reviews continue, as from another API server. */
function drawAbsence(
  dice: Dice,
  absence: Absence,
  at: (part: number) => number,
): readonly Incident[] {
  // Secrets are cached for some seconds, so only a long outage has an effect.
  const [begin, length] = absence === 'down' ? [0.7, 0.15] : [0.1, 0.3];
  const from = begin + 0.15 * dice.roll('absence', absence);
  const until = from + length + 0.05 * dice.roll('absence ends', absence);
  return [
    {
      at: at(from),
      what: `API server ${absence}`,
      happen: ({ cluster }) => cluster?.setAway(absence),
    },
    { at: at(until), what: 'API server up', happen: ({ cluster }) => cluster?.setAway(undefined) },
  ];
}

/** Images that never change have promises of their own, so the timeline skips them. */
function isMovable({ repository, isThere }: Published): boolean {
  return (
    isThere && /^(library|moving|team|closed)\//.test(repository) && !unmoved.includes(repository)
  );
}
