import type { InstallSettings } from '../../../lib/install/settings.ts';

/** The labels that select the pods of an installation: Knative sets its own. */
export function toPodLabels({
  serving,
  name,
}: Pick<InstallSettings, 'serving' | 'name'>): Readonly<Record<string, string>> {
  return serving === 'knative'
    ? { 'serving.knative.dev/service': name }
    : { 'app.kubernetes.io/name': 'image-cloner', 'app.kubernetes.io/instance': name };
}

/**
 * The labels of the pods that terminate TLS, for the Service in front of them. Pods of an earlier Revision of WIRING=gateway, which
 * Knative keeps for ten minutes, do not.
 */
export function toEndpointLabels(
  install: Pick<InstallSettings, 'serving' | 'name'>,
): Readonly<Record<string, string>> {
  const labels = toPodLabels(install);
  return install.serving === 'knative' ? { ...labels, 'image-cloner/wiring': 'direct' } : labels;
}

/** The labels of all pods as a selector of kubectl. */
export function toPodSelector(install: Pick<InstallSettings, 'serving' | 'name'>): string {
  return Object.entries(toPodLabels(install))
    .map((pair) => pair.join('='))
    .join(',');
}
