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

/** The same as a selector of kubectl. */
export function toPodSelector(install: Pick<InstallSettings, 'serving' | 'name'>): string {
  return Object.entries(toPodLabels(install))
    .map((pair) => pair.join('='))
    .join(',');
}
