import { X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { find } from './kubectl.ts';
import { toMappedHost } from './manifests.ts';
import { objectList, secret, webhookConfiguration } from './objects.ts';
import { readReadiness } from './ready.ts';

interface Row {
  readonly what: string;
  readonly isGood: boolean;
  readonly says: string;
}

const dayMs = 86_400_000;
const renewWithinDays = 30;

/** Says how each part is doing. Resolves with `false` where one is not well. */
export async function showStatus(
  install: InstallSettings,
  print: (line: string) => void,
): Promise<boolean> {
  const { name, namespace } = install;
  const own = `--namespace=${namespace}`;
  const [webhook, tls, optedIn] = await Promise.all([
    find('mutatingwebhookconfiguration', name),
    find('secret', `${name}-tls`, own),
    find('namespaces', '--selector=image-cloner=enabled'),
  ]);
  const rows = [
    toWebhookRow(webhook),
    await toReadyRow('Knative Service', ['ksvc', name, own]),
    await toReadyRow('https name', ['domainmapping', toMappedHost(install), own]),
    toCertificateRow(webhook, tls),
  ];
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, isGood, says } of rows) {
    print(`${isGood ? 'ok ' : '-- '} ${what.padEnd(width)}  ${says}`);
  }
  const names = v.parse(objectList, optedIn).items.map(({ metadata }) => metadata.name);
  print(
    `    ${'namespaces'.padEnd(width)}  ${names.join(', ') || 'none is labelled image-cloner=enabled'}`,
  );
  return rows.every(({ isGood }) => isGood);
}

function toWebhookRow(found: unknown): Row {
  const what = 'webhook';
  if (found === undefined) return { what, isGood: false, says: 'not registered' };
  const { failurePolicy } = v.parse(webhookConfiguration, found).webhooks[0];
  return { what, isGood: true, says: `registered, failurePolicy ${failurePolicy}` };
}

async function toReadyRow(what: string, args: readonly string[]): Promise<Row> {
  const readiness = await readReadiness(...args);
  if (readiness === undefined) return { what, isGood: false, says: 'not there' };
  const { isReady, reasons } = readiness;
  return { what, isGood: isReady === true, says: isReady === true ? 'ready' : reasons };
}

function toCertificateRow(webhook: unknown, tls: unknown): Row {
  const what = 'certificate';
  const pem = tls === undefined ? undefined : v.parse(secret, tls).data['tls.crt'];
  if (pem === undefined) return { what, isGood: false, says: 'not there' };
  const certificate = new X509Certificate(Buffer.from(pem, 'base64'));
  const days = Math.floor((certificate.validToDate.getTime() - Date.now()) / dayMs);
  const trusted = webhook === undefined || isTrusted(certificate, webhook);
  const says = [
    `good for ${days} days`,
    ...(days < renewWithinDays ? ['renew it: just gen deploy'] : []),
    ...(trusted ? [] : ['not of the CA that the webhook configuration trusts: just deploy']),
  ];
  return { what, isGood: days >= renewWithinDays && trusted, says: says.join(', ') };
}

function isTrusted(certificate: X509Certificate, webhook: unknown): boolean {
  const { caBundle } = v.parse(webhookConfiguration, webhook).webhooks[0].clientConfig;
  const cas = atob(caBundle).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
  return cas.some((pem) => certificate.verify(new X509Certificate(pem).publicKey));
}
