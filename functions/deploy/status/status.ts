import type * as v from 'valibot';
import { readReport } from '../../../lib/install/renewal/index.ts';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { find, findItems, findObject, readData } from '../kubectl.ts';
import { toHost, toPodSelector } from '../manifests/index.ts';
import {
  anyObject,
  knativeObject,
  otherConfiguration,
  podObject,
  secretObject,
} from '../objects.ts';
import { findOtherWebhooks } from '../preflight/index.ts';
import { findRegistered } from '../registration.ts';
import { describeCertificate } from './certificate.ts';
import { findMisspelt, probeNamespaces } from './namespaces.ts';
import { toPodRows } from './pod-rows.ts';
import { describePods, readPodMetrics } from './pods.ts';
import { readReadiness } from './readiness.ts';
import { describeRegistration } from './registration.ts';
import type { Row, State } from './row.ts';

/** The page that one opens in an outage. */
export interface StatusPage {
  readonly isGood: boolean;
  readonly rows: readonly Row[];
  /** Removes the webhook, so that every write passes. */
  readonly emergency: string;
}

/** Reads the state of each part of an installation. */
export async function readStatus(install: InstallSettings): Promise<StatusPage> {
  const { name, namespace } = install;
  const now = new Date();
  const [live, webhook, tls, labelled, pods, others, configurations] = await Promise.all([
    find('mutatingwebhookconfiguration', name),
    findRegistered(name),
    findObject(secretObject, 'secret', `${name}-tls`, `--namespace=${namespace}`),
    findItems(anyObject, 'namespaces', '--selector=image-cloner'),
    findCurrentPods(install),
    findOtherWebhooks(install),
    findItems(otherConfiguration, 'mutatingwebhookconfigurations'),
  ]);
  const [serving, credentials, metrics, probes] = await Promise.all([
    describeServing(install),
    describeCredentials(install),
    readPodMetrics(pods, namespace),
    webhook === undefined ? [] : probeNamespaces(labelled, install),
  ]);
  const rows: readonly Row[] = [
    { what: 'webhook', ...describeRegistration(webhook, live, install) },
    ...serving,
    { what: 'pods', ...describePods(pods, install.minScale) },
    { what: 'certificate', ...describeCertificate(webhook, tls?.data['tls.crt'], install, now) },
    ...(install.certificates === 'renew' ? [describeRenewal(tls?.metadata.annotations ?? {})] : []),
    { what: 'registry-auth', ...credentials },
    ...toPodRows(metrics, now),
    ...others.map((text) => ({ what: 'other webhook', isGood: false, text })),
    ...probes,
    ...findMisspelt(labelled, toKnownLabels(install, configurations)),
  ];
  return {
    isGood: rows.every(({ isGood }) => isGood),
    rows,
    emergency: `kubectl delete mutatingwebhookconfiguration ${name}`,
  };
}

/** One line per row, for a terminal. */
export function formatStatus({ rows, isGood, emergency }: StatusPage): readonly string[] {
  const width = Math.max(...rows.map(({ what }) => what.length));
  const bad = rows.filter((row) => !row.isGood).length;
  return [
    ...rows.map(
      ({ what, isGood, text }) => `${isGood ? 'ok ' : '-- '} ${what.padEnd(width)}  ${text}`,
    ),
    '',
    isGood ? 'Everything is good.' : `${bad} of ${rows.length} are not good (--).`,
    `To let every write pass at once: ${emergency}   (just deploy registers it again)`,
  ];
}

/** Pods of an older Revision end, and do not matter. */
async function findCurrentPods(
  install: InstallSettings,
): Promise<readonly v.InferOutput<typeof podObject>[]> {
  const { name, namespace, serving } = install;
  const own = `--namespace=${namespace}`;
  const service =
    serving === 'knative' ? await findObject(knativeObject, 'ksvc', name, own) : undefined;
  const revision = service?.status.latestReadyRevisionName ?? '';
  const selector = [
    toPodSelector(install),
    ...(revision === '' ? [] : [`serving.knative.dev/revision=${revision}`]),
  ];
  const pods = await findItems(podObject, 'pods', own, `--selector=${selector.join(',')}`);
  return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** What the last daily run found. */
function describeRenewal(annotations: Readonly<Record<string, string>>): Row {
  const report = readReport(annotations);
  if (report === undefined) return { what: 'renewal', isGood: true, text: 'has not run yet' };
  const since = report.since.toISOString().slice(0, 16).replace('T', ' ');
  return {
    what: 'renewal',
    isGood: report.state !== 'failed',
    text: `${report.text} (since ${since})`,
  };
}

async function describeServing(install: InstallSettings): Promise<readonly Row[]> {
  const { name, namespace, service, serving, wiring } = install;
  const own = `--namespace=${namespace}`;
  if (serving === 'deployment') {
    return [{ what: 'Deployment', ...(await describeReadiness('deployment', name, own)) }];
  }
  return [
    { what: 'Knative Service', ...(await describeReadiness('ksvc', name, own)) },
    ...(wiring === 'gateway'
      ? [
          {
            what: 'DomainMapping',
            ...(await describeReadiness('domainmapping', toHost(service), own)),
          },
        ]
      : []),
  ];
}

async function describeReadiness(...args: readonly string[]): Promise<State> {
  const readiness = await readReadiness(...args);
  if (readiness === undefined) return { isGood: false, text: 'not found: just deploy' };
  const isGood = readiness.isReady === true;
  return { isGood, text: isGood ? 'ready' : readiness.reasons };
}

/** A cloud identity needs no Secret, and `deploy` records it. */
async function describeCredentials({ namespace }: InstallSettings): Promise<State> {
  const data = await readData('secret', 'registry-auth', namespace);
  const keys = Object.keys(data).filter((key) => (data[key] ?? '') !== '');
  const isComplete =
    keys.includes('.dockerconfigjson') ||
    ['username', 'password'].every((key) => keys.includes(key));
  if (isComplete) return { isGood: true, text: 'there' };
  return {
    isGood: false,
    text: `the Secret has no username and password: kubectl -n ${namespace} create secret generic registry-auth --from-file=username --from-file=password`,
  };
}

function toKnownLabels(
  { labelValue }: InstallSettings,
  configurations: readonly v.InferOutput<typeof otherConfiguration>[],
): ReadonlySet<string> {
  return new Set([
    labelValue,
    'disabled',
    ...configurations.flatMap(({ webhooks }) =>
      webhooks.flatMap(
        ({ namespaceSelector }) => namespaceSelector.matchLabels?.['image-cloner'] ?? [],
      ),
    ),
  ]);
}
