import { X509Certificate } from 'node:crypto';
import { isTrusted } from '../certificates/index.ts';
import type { WebhookConfiguration } from '../objects.ts';
import type { State } from './row.ts';

const dayMs = 86_400_000;
const renewWithinDays = 30;

/** `base64` is `tls.crt` of the Secret. */
export function describeCertificate(
  webhook: WebhookConfiguration | undefined,
  base64: string | undefined,
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
    ...(days < renewWithinDays ? ['renew it: just deploy'] : []),
    ...(trusted ? [] : ['not from the CA of the webhook configuration: just deploy']),
  ];
  return { isGood: days >= renewWithinDays && trusted, text: text.join(', ') };
}

function readCertificate(base64: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}
