import { X509Certificate } from 'node:crypto';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { isTrusted } from '../certificates/index.ts';
import type { WebhookConfiguration } from '../objects.ts';
import type { State } from './row.ts';

const dayMs = 86_400_000;
/** A renewal begins 30 days before the end and takes three; the alert fires at 20. */
const goodDays = 20;

const advice = {
  renew: 'image-cloner deploy, or kubectl create job --from=cronjob/NAME-renewal renew-now',
  'cert-manager': 'see kubectl describe certificate',
  files: 'just gen deploy',
} as const;

/** `base64` is `tls.crt` of the Secret. */
export function describeCertificate(
  webhook: WebhookConfiguration | undefined,
  base64: string | undefined,
  { name, certificates }: Pick<InstallSettings, 'name' | 'certificates'>,
  now: Date,
): State {
  if (base64 === undefined) return { isGood: false, text: 'not found: just deploy' };
  const certificate = readCertificate(base64);
  if (certificate === undefined) return { isGood: false, text: 'not valid: just deploy' };
  const days = Math.floor((certificate.validToDate.getTime() - now.getTime()) / dayMs);
  const ca = webhook === undefined ? '' : atob(webhook.webhooks[0].clientConfig.caBundle);
  const trusted = isTrusted([certificate], ca);
  const text = [
    days < 0 ? `expired ${-days} days ago` : `valid for ${days} days`,
    ...(days < goodDays ? [`not renewed: ${advice[certificates].replace('NAME', name)}`] : []),
    ...(trusted ? [] : ['not from the CA of the webhook configuration: just deploy']),
  ];
  return { isGood: days >= goodDays && trusted, text: text.join(', ') };
}

function readCertificate(base64: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}
