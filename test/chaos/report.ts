import type { Ledger } from './ledger.ts';
import type { FaultRecord } from './servers/faults.ts';

const maxShown = 30;

/** The report of a run. */
export function formatReport(ledger: Ledger, faults: readonly FaultRecord[]): string {
  const kinds = Map.groupBy(faults, ({ kind }) => kind);
  const byKind = [...kinds]
    .map(([kind, all]) => [kind, all.length] as const)
    .toSorted(([, one], [, other]) => other - one);
  const promises = [...ledger.promises].toSorted(([one], [other]) => one.localeCompare(other));
  const kept = promises.reduce((sum, [, { kept }]) => sum + kept, 0);
  return [
    'what happened',
    ...[...ledger.counts].map(([what, count]) => row(what, count)),
    '',
    `faults injected: ${faults.length}`,
    ...byKind.map(([kind, count]) => row(kind, count)),
    '',
    `promises checked: ${kept + ledger.breaches.length}, broken: ${ledger.breaches.length}`,
    ...promises.map(([promise, { kept, broken }]) =>
      row(
        `${broken > 0 ? 'BROKEN ' : ''}${promise}`,
        broken > 0 ? `${broken} of ${kept + broken}` : kept,
      ),
    ),
    ...(ledger.breaches.length > 0
      ? ['', 'broken:', ...ledger.breaches.slice(0, maxShown).map((line) => `  ${line}`)]
      : []),
  ].join('\n');
}

function row(what: string, value: number | string): string {
  return `  ${String(value).padStart(6)}  ${what}`;
}
