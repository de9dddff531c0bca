import type { BackupLocation } from '../image/backup-name.ts';
import type { ImagePattern } from '../image/pattern.ts';

/** The configuration that applies to one review. */
export interface ReviewPolicy {
  readonly backup: BackupLocation;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  /** The namespace annotation that set `onError` or `onDeadline`; absent where the configuration did. */
  readonly overriddenBy?: { readonly onError?: string; readonly onDeadline?: string };
  readonly ignoreImages: readonly ImagePattern[];
  /** Empty: every registry. */
  readonly sourceRegistries: readonly string[];
  /** `group/Kind`, or `*`. */
  readonly cloneOnlyOwners: readonly string[];
  readonly backupPullSecret?: string;
  /** Namespaces that image-cloner or the backup registry needs to start; their objects are not read. */
  readonly excludedNamespaces: readonly string[];
  /** The Knative Service of image-cloner itself. */
  readonly ownService?: { readonly namespace: string; readonly name: string };
}

/** Variables that a namespace may override by its annotations. */
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

export interface OverriddenPolicy {
  readonly policy: ReviewPolicy;
  /** One for each annotation that has no effect. */
  readonly warnings: readonly string[];
}

/** Applies the annotations of a namespace to the configured policy. Pure. */
export function overridePolicy(
  policy: ReviewPolicy,
  { namespace, annotations, allowed }: OverrideOptions,
): OverriddenPolicy {
  const read = <Value extends string>(
    variable: Override,
    annotation: string,
    values: readonly Value[],
    configured: Value,
  ): { readonly value: Value; readonly overriddenBy?: string; readonly warning?: string } => {
    const text = annotations.get(annotation);
    if (text === undefined) return { value: configured };
    const applied = `${variable}=${configured} applies`;
    if (!allowed.includes(variable)) {
      const rule = `NAMESPACE_OVERRIDES does not list ${variable}`;
      return { value: configured, warning: `${annotation}: ${rule}, so ${applied}` };
    }
    const value = values.find((one) => one === text);
    return value === undefined
      ? {
          value: configured,
          warning: `${annotation} must be ${values.join(' or ')}, so ${applied}`,
        }
      : { value, overriddenBy: `namespace ${namespace} has ${annotation}: ${value}` };
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
      overriddenBy: {
        ...(onError.overriddenBy !== undefined && { onError: onError.overriddenBy }),
        ...(onDeadline.overriddenBy !== undefined && { onDeadline: onDeadline.overriddenBy }),
      },
    },
    warnings: [onError, onDeadline].flatMap(({ warning }) => warning ?? []),
  };
}
