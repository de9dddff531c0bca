import { formatWorkload } from '../../lib/fleet/stored-workload.ts';
import type { Verification, VerifiedImage } from '../../lib/fleet/verify/index.ts';
import { formatTable } from '../shared/terminal/format-table.ts';
import { count, listObjects } from '../shared/terminal/list-objects.ts';

/** A table with each image once, the worst first, and one sentence with what to type next. */
export function formatVerification({
  images,
  workloads,
  problems,
}: Verification): readonly string[] {
  const groups = Map.groupBy(images, ({ image, what, source }) =>
    JSON.stringify([image, what, source]),
  );
  const rows = [...groups.values()].map((group) => {
    const [first] = group;
    const objects = group.map(({ stored }) => ({
      namespace: stored.namespace,
      object: formatWorkload(stored),
    }));
    return [first?.image || '-', listObjects(objects), first?.what ?? '', first?.source ?? '-'];
  });
  const { starts, fails, unknown, skipped } = workloads;
  const total = count(starts + fails + unknown, 'workload');
  const verdict = [
    `${starts} of ${total} would start if every public registry were gone`,
    ...(fails > 0 ? [`${fails} would not`] : []),
    ...(unknown > 0 ? [`${unknown} could not be checked`] : []),
    ...(skipped > 0 ? [`${skipped} more skipped`] : []),
  ].join('; ');
  return [
    ...(rows.length === 0
      ? []
      : formatTable([['IMAGE', 'WORKLOADS', 'BACKUP', 'SOURCE'], ...rows])),
    ...problems,
    verdict,
    ...listNextSteps(images),
  ];
}

function listNextSteps(images: readonly VerifiedImage[]): readonly string[] {
  const has = (...states: readonly VerifiedImage['state'][]): boolean =>
    images.some(({ state }) => states.includes(state));
  return [
    ...(has('outside', 'absent', 'incomplete')
      ? ['to copy what is missing: image-cloner backfill --refresh --apply']
      : []),
    ...(has('denied') ? ['for a pull secret: image-cloner pull-secret NAMESPACE'] : []),
  ];
}
