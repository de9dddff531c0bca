import { X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { find } from '../kubectl.ts';
import { toHost } from '../manifests/manifests.ts';
import { objectList, secret, webhookConfiguration } from '../manifests/objects.ts';
import { readReadiness } from '../ready.ts';
import { findRegistered } from '../registration.ts';
import { type PodMetrics, readPodMetrics } from './pod-metrics.ts';
import { describePods } from './pod-state.ts';

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
  const [webhook, tls, optedIn, pods] = await Promise.all([
    findRegistered(name),
    find('secret', `${name}-tls`, own),
    find('namespaces', '--selector=image-cloner=enabled'),
    find('pods', own, `--selector=serving.knative.dev/service=${name}`),
  ]);
  const rows = [
    toWebhookRow(webhook, install),
    await toReadyRow('Knative Service', ['ksvc', name, own]),
    { what: 'pods', ...describePods(pods) },
    ...(install.wiring === 'gateway'
      ? [await toReadyRow('https name', ['domainmapping', toHost(install.service), own])]
      : []),
    toCertificateRow(webhook, tls),
    ...toPodRows(await readPodMetrics(namespace, name), Date.now()),
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

function toWebhookRow(found: unknown, { service }: InstallSettings): Row {
  const what = 'webhook';
  if (found === undefined) return { what, isGood: false, says: 'not registered' };
  const [{ failurePolicy, clientConfig }] = v.parse(webhookConfiguration, found).webhooks;
  const called = clientConfig.service === undefined ? 'a URL' : toHost(clientConfig.service);
  const isOurs = called === toHost(service);
  const says = `registered, failurePolicy ${failurePolicy}, calls ${called}`;
  return {
    what,
    isGood: isOurs,
    says: isOurs ? says : `${says}, not ${toHost(service)}: is WIRING or SERVICE_NAME another one?`,
  };
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
  const certificate = readCertificate(pem);
  if (certificate === undefined) {
    return { what, isGood: false, says: 'cannot be read: just gen deploy' };
  }
  const days = Math.floor((certificate.validToDate.getTime() - Date.now()) / dayMs);
  const trusted = webhook === undefined || isTrusted(certificate, webhook);
  const says = [
    days < 0 ? `expired ${-days} days ago` : `good for ${days} days`,
    ...(days < renewWithinDays ? ['renew it: just gen deploy'] : []),
    ...(trusted ? [] : ['not of the CA that the webhook configuration trusts: just deploy']),
  ];
  return { what, isGood: days >= renewWithinDays && trusted, says: says.join(', ') };
}

function readCertificate(base64: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}

/** Reviews come when somebody deploys: that there was none is no fault. */
function toPodRows(pods: readonly (PodMetrics | undefined)[], nowMs: number): readonly Row[] {
  const asked = pods.filter((pod) => pod !== undefined);
  if (asked.length === 0) {
    const says = pods.length === 0 ? 'no pod to ask' : 'its pods cannot be asked from here';
    return [{ what: 'last review', isGood: true, says }];
  }
  const times = asked.flatMap(({ lastReviewMs }) => lastReviewMs ?? []);
  const isUp = asked.every(({ isBackupUp }) => isBackupUp);
  return [
    {
      what: 'last review',
      isGood: true,
      says:
        times.length === 0
          ? 'none since its pod started'
          : `answered ${toAge(nowMs - Math.max(...times))} ago`,
    },
    {
      what: 'backup',
      isGood: isUp,
      says: isUp ? 'up, as far as it was asked' : 'gave no usable answer when it was last asked',
    },
  ];
}

function toAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

function isTrusted(certificate: X509Certificate, webhook: unknown): boolean {
  const { caBundle } = v.parse(webhookConfiguration, webhook).webhooks[0].clientConfig;
  const cas = atob(caBundle).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
  return cas.some((pem) => certificate.verify(new X509Certificate(pem).publicKey));
}
