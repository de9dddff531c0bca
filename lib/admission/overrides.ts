import type { ReviewPolicy } from './policy.ts';

/** Variables that namespaces may decide for themselves, where the administrator lets them. */
export type Override = 'ON_ERROR' | 'ON_DEADLINE';

const onErrorAnnotation = 'image-cloner/on-error';
const onDeadlineAnnotation = 'image-cloner/on-deadline';

export interface OverrideOptions {
  readonly namespace: string;
  /** Of the Namespace object. */
  readonly annotations: ReadonlyMap<string, string>;
  /** `NAMESPACE_OVERRIDES` */
  readonly allowed: readonly Override[];
}

/** What counts in one namespace. */
export interface OverriddenPolicy {
  readonly policy: ReviewPolicy;
  /** Where an annotation does not count, the person is told why. */
  readonly warnings: readonly string[];
}

/** The administrator's policy with what a namespace decides for itself. Pure. */
export function overridePolicy(
  policy: ReviewPolicy,
  { namespace, annotations, allowed }: OverrideOptions,
): OverriddenPolicy {
  const read = <Value extends string>(
    variable: Override,
    annotation: string,
    values: readonly Value[],
    global: Value,
  ): { readonly value: Value; readonly ruledBy?: string; readonly warning?: string } => {
    const text = annotations.get(annotation);
    if (text === undefined) return { value: global };
    const counts = `${variable}=${global} counts`;
    if (!allowed.includes(variable)) {
      const rule = `NAMESPACE_OVERRIDES does not list ${variable}`;
      return { value: global, warning: `${annotation}: ${rule}, so ${counts}` };
    }
    const value = values.find((one) => one === text);
    return value === undefined
      ? { value: global, warning: `${annotation} must be ${values.join(' or ')}, so ${counts}` }
      : { value, ruledBy: `namespace ${namespace} has ${annotation}: ${value}` };
  };
  const onError = read('ON_ERROR', onErrorAnnotation, ['deny', 'admit'], policy.onError);
  const onDeadline = read(
    'ON_DEADLINE',
    onDeadlineAnnotation,
    ['retry', 'admit'],
    policy.onDeadline,
  );
  return {
    policy: {
      ...policy,
      onError: onError.value,
      onDeadline: onDeadline.value,
      ruledBy: {
        ...(onError.ruledBy !== undefined && { onError: onError.ruledBy }),
        ...(onDeadline.ruledBy !== undefined && { onDeadline: onDeadline.ruledBy }),
      },
    },
    warnings: [onError, onDeadline].flatMap(({ warning }) => warning ?? []),
  };
}
