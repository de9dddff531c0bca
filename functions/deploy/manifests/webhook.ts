import { toInjectionAnnotation } from '../../../lib/install/cert-manager.ts';
import { recordAnnotation } from '../../../lib/install/record/index.ts';
import {
  toWebhookConfiguration,
  type WebhookConfiguration,
} from '../../../lib/install/webhook-configuration.ts';
import type { DeploySettings } from '../settings.ts';

/** The webhook configuration with a copy of the settings. `ca` is PEM. */
export function toRegistration(
  { install, record }: Pick<DeploySettings, 'install' | 'record'>,
  ca: string,
): WebhookConfiguration & { readonly metadata: { readonly annotations: object } } {
  const { metadata, ...configuration } = toWebhookConfiguration(install, ca);
  // In the order of names, so that the same settings are the same text.
  const sorted = Object.fromEntries(
    Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  const annotations = {
    [recordAnnotation]: JSON.stringify(sorted),
    ...(install.certificates === 'cert-manager' && toInjectionAnnotation(install)),
  };
  return { ...configuration, metadata: { ...metadata, annotations } };
}
