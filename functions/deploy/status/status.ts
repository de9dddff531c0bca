import { X509Certificate } from 'node:crypto';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { isTrusted } from '../certificates/index.ts';
import { findItems, readData } from '../kubectl.ts';
import { toHost, toPodSelector } from '../manifests/index.ts';
import { anyObject, podObject, type WebhookConfiguration } from '../objects.ts';
import { findRegistered } from '../registration.ts';
import { describePods, type PodMetrics, readPodMetrics } from './pods.ts';
import { readReadiness } from './readiness.ts';

interface State {
  readonly isGood: boolean;
  readonly text: string;
}

interface Row extends State {
  readonly what: string;
}

const dayMs = 86_400_000;
const renewWithinDays = 30;

/** Prints the state of each part. Resolves with `false` if one is not good. */
export async function showStatus(
  install: InstallSettings,
  print: (line: string) => void,
): Promise<boolean> {
  const { name, namespace } = install;
  const own = `--namespace=${namespace}`;
  const [webhook, tls, optedIn, pods] = await Promise.all([
    findRegistered(name),
    readData('secret', `${name}-tls`, namespace),
    findItems(anyObject, 'namespaces', `--selector=image-cloner=${install.labelValue}`),
    findItems(podObject, 'pods', own, `--selector=${toPodSelector(install)}`),
  ]);
  const mapping = ['domainmapping', toHost(install.service), own];
  const rows: readonly Row[] = [
    { what: 'webhook', ...describeWebhook(webhook, install) },
    install.serving === 'knative'
      ? { what: 'Knative Service', ...(await describeReadiness('ksvc', name, own)) }
      : { what: 'Deployment', ...(await describeReadiness('deployment', name, own)) },
    { what: 'pods', ...describePods(pods) },
    ...(install.wiring === 'gateway'
      ? [{ what: 'DomainMapping', ...(await describeReadiness(...mapping)) }]
      : []),
    { what: 'certificate', ...describeCertificate(webhook, tls['tls.crt']) },
    ...toPodRows(await readPodMetrics(pods, namespace)),
  ];
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, isGood, text } of rows) {
    print(`${isGood ? 'ok ' : '-- '} ${what.padEnd(width)}  ${text}`);
  }
  const names = optedIn.map(({ metadata }) => metadata.name).join(', ');
  print(
    `    ${'namespaces'.padEnd(width)}  ${names || `none has the label image-cloner=${install.labelValue}`}`,
  );
  return rows.every(({ isGood }) => isGood);
}

function describeWebhook(
  webhook: WebhookConfiguration | undefined,
  { service }: InstallSettings,
): State {
  if (webhook === undefined) return { isGood: false, text: 'not registered' };
  const [{ failurePolicy, clientConfig }] = webhook.webhooks;
  const called = clientConfig.service === undefined ? 'a URL' : toHost(clientConfig.service);
  const isOurs = called === toHost(service);
  const problem = isOurs ? '' : `, not ${toHost(service)}: check WIRING and SERVICE_NAME`;
  const text = `registered, failurePolicy ${failurePolicy}, calls ${called}${problem}`;
  return { isGood: isOurs, text };
}

async function describeReadiness(...args: readonly string[]): Promise<State> {
  const readiness = await readReadiness(...args);
  if (readiness === undefined) return { isGood: false, text: 'not found' };
  const isGood = readiness.isReady === true;
  return { isGood, text: isGood ? 'ready' : readiness.reasons };
}

function describeCertificate(
  webhook: WebhookConfiguration | undefined,
  pem: string | undefined,
): State {
  if (pem === undefined) return { isGood: false, text: 'not found' };
  const certificate = readCertificate(pem);
  if (certificate === undefined) return { isGood: false, text: 'not valid: just deploy' };
  const days = Math.floor((certificate.validToDate.getTime() - Date.now()) / dayMs);
  const trusted =
    webhook === undefined ||
    isTrusted([certificate], atob(webhook.webhooks[0].clientConfig.caBundle));
  const text = [
    days < 0 ? `expired ${-days} days ago` : `valid for ${days} days`,
    ...(days < renewWithinDays ? ['renew it: just gen deploy'] : []),
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

/** No review is good: none arrives until a workload changes. */
function toPodRows(pods: readonly (PodMetrics | undefined)[]): readonly Row[] {
  const readable = pods.filter((pod) => pod !== undefined);
  if (readable.length === 0) {
    const text =
      pods.length === 0 ? 'unknown: no pod' : 'unknown: the metrics of the pods cannot be read';
    return [{ what: 'last review', isGood: true, text }];
  }
  const times = readable.flatMap(({ lastReviewMs }) => lastReviewMs ?? []);
  const review =
    times.length === 0
      ? 'none since the pod started'
      : `answered ${toAge(Date.now() - Math.max(...times))} ago`;
  const isUp = readable.every(({ isBackupUp }) => isBackupUp);
  const backup = isUp ? 'up, as of the last request' : 'the last request failed';
  return [
    { what: 'last review', isGood: true, text: review },
    { what: 'backup', isGood: isUp, text: backup },
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
