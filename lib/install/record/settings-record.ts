import type { InstallSettings } from '../settings.ts';

/** The ConfigMap that keeps the settings of an installation, so that a deployment from another shell keeps them. */
export interface SettingsRecord {
  readonly apiVersion: 'v1';
  readonly kind: 'ConfigMap';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  /** Names and values of variables. */
  readonly data: Readonly<Record<string, string>>;
}

/**
 * Annotation of the webhook configuration: a copy of the record as JSON. It survives the namespace of the installation, and lets the
 * next deployment rebuild it.
 */
export const recordAnnotation = 'image-cloner/settings';

/** The name of the ConfigMap. */
export function recordName(name: string): string {
  return `${name}-settings`;
}

export function toSettingsRecord(
  { name, namespace }: Pick<InstallSettings, 'name' | 'namespace'>,
  settings: Readonly<Record<string, string>>,
): SettingsRecord {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: recordName(name),
      namespace,
      labels: { 'app.kubernetes.io/managed-by': 'image-cloner' },
    },
    data: settings,
  };
}
