import type { BackupLocation } from '../image/backup-name.ts';
import type { ImagePattern } from '../image/pattern.ts';

/** `FORMER_BACKUPS`: a registry, and the namespace of the copies if it is known. */
export interface FormerBackup {
  readonly domain: string;
  readonly namespace?: string;
}

/** The configuration that applies to one review. */
export interface ReviewPolicy {
  readonly backup: BackupLocation;
  readonly onError: 'deny' | 'admit';
  readonly onDeadline: 'retry' | 'admit';
  /** The namespace annotation that set `onError` or `onDeadline`; absent if the configuration did. */
  readonly overriddenBy?: { readonly onError?: string; readonly onDeadline?: string };
  readonly ignoreImages: readonly ImagePattern[];
  /** Empty: every registry. */
  readonly sourceRegistries: readonly string[];
  /** Registries that held the backups before. @default none */
  readonly formerBackups?: readonly FormerBackup[];
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

/** Applies the annotations of a namespace to the configured policy, with a warning for each that has no effect. Pure. */
export function overridePolicy(
  policy: ReviewPolicy,
  { namespace, annotations, allowed }: OverrideOptions,
): { readonly policy: ReviewPolicy; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  /** `undefined` if the annotation is absent or has no effect. */
  const read = <Value extends string>(
    variable: Override,
    annotation: string,
    values: readonly Value[],
    configured: Value,
  ): Value | undefined => {
    const text = annotations.get(annotation);
    if (text === undefined) return undefined;
    const isAllowed = allowed.includes(variable);
    const value = values.find((one) => one === text);
    if (isAllowed && value !== undefined) return value;
    const problem = isAllowed
      ? `${annotation} must be ${values.join(' or ')}`
      : `${annotation}: NAMESPACE_OVERRIDES does not list ${variable}`;
    warnings.push(`${problem}, so ${variable}=${configured} applies`);
    return undefined;
  };
  const notice = `namespace ${namespace} has`;
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
      onError: onError ?? policy.onError,
      onDeadline: onDeadline ?? policy.onDeadline,
      overriddenBy: {
        ...(onError && { onError: `${notice} ${onErrorAnnotation}: ${onError}` }),
        ...(onDeadline && { onDeadline: `${notice} ${onDeadlineAnnotation}: ${onDeadline}` }),
      },
    },
    warnings,
  };
}
