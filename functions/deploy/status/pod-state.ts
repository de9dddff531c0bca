import * as v from 'valibot';

const container = v.object({
  ready: v.optional(v.boolean(), false),
  state: v.optional(
    v.object({ waiting: v.optional(v.object({ reason: v.optional(v.string(), '') })) }),
    {},
  ),
});

const podList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ deletionTimestamp: v.optional(v.string()) }),
      status: v.optional(
        v.object({
          phase: v.optional(v.string(), ''),
          containerStatuses: v.optional(v.array(container), []),
        }),
        { phase: '', containerStatuses: [] },
      ),
    }),
  ),
});

/** How many of the webhook's pods answer, and what keeps the others. */
export interface PodState {
  readonly isGood: boolean;
  readonly says: string;
}

/**
 * A list of pods → how they are. Knative goes on calling a Service ready whose only pod has begun to crash. None at all is well: it was
 * scaled to zero.
 */
export function describePods(found: unknown): PodState {
  const pods = v
    .parse(podList, found)
    .items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const ready = pods.filter(
    ({ status: { containerStatuses } }) =>
      containerStatuses.length > 0 && containerStatuses.every((each) => each.ready),
  );
  const reasons = pods.flatMap(({ status: { phase, containerStatuses } }) => [
    ...(phase === 'Failed' ? [phase] : []),
    ...containerStatuses.flatMap(({ state }) => state.waiting?.reason || []),
  ]);
  const why = reasons.length === 0 ? '' : `, ${[...new Set(reasons)].join(', ')}`;
  return {
    isGood: pods.length === 0 || ready.length > 0,
    says:
      pods.length === 0
        ? 'none runs, as when it is scaled to zero'
        : `${ready.length} of ${pods.length} ready${why}`,
  };
}
