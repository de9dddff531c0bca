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

/** How many pods are ready, and the reasons of the others. */
export interface PodState {
  readonly isGood: boolean;
  readonly text: string;
}

/**
 * Describes a list of pods, because Knative reports a Service as ready while its only pod crashes.
 * No pod is good: the Service is scaled to zero.
 */
export function describePods(list: unknown): PodState {
  const pods = v
    .parse(podList, list)
    .items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const ready = pods.filter(
    ({ status: { containerStatuses } }) =>
      containerStatuses.length > 0 && containerStatuses.every((each) => each.ready),
  );
  const reasons = pods.flatMap(({ status: { phase, containerStatuses } }) => [
    ...(phase === 'Failed' ? [phase] : []),
    ...containerStatuses.flatMap(({ state }) => state.waiting?.reason || []),
  ]);
  const suffix = reasons.length === 0 ? '' : `, ${[...new Set(reasons)].join(', ')}`;
  return {
    isGood: pods.length === 0 || ready.length > 0,
    text:
      pods.length === 0
        ? 'none (scaled to zero)'
        : `${ready.length} of ${pods.length} ready${suffix}`,
  };
}
