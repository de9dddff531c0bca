import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { parse } from 'yaml';
import { ConfigError } from '../../../lib/errors.ts';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../lib/install/webhook-configuration.ts';
import { webhookConfiguration } from '../objects.ts';
import { toHost } from './manifests.ts';

/** The files that `just gen` wrote. */
export interface Generated {
  /** YAML. */
  readonly webhook: string;
  /** YAML. */
  readonly tlsSecret: string;
  /** Absent if an older version wrote the files. */
  readonly clusterId: string | undefined;
  /** Findings that do not stop a deployment. */
  readonly notes: readonly string[];
}

/** Rejects with `ConfigError` if the files are missing or do not fit this installation. */
export async function readGenerated(install: InstallSettings): Promise<Generated> {
  const [webhook, tlsSecret, clusterId] = await Promise.all(
    ['webhook.yaml', 'tls-secret.yaml', 'cluster-id'].map(async (name) =>
      readText(join(install.outDir, name)),
    ),
  );
  if (webhook === undefined || tlsSecret === undefined) {
    throw new ConfigError([`${install.outDir}/ is not complete: run "just gen" first`]);
  }
  const configuration: unknown = parse(webhook);
  const { metadata, webhooks } = v.parse(webhookConfiguration, configuration);
  const { service, caBundle } = webhooks[0].clientConfig;
  const problem =
    problemOfWebhook(metadata.name, service, install) ??
    problemOfSecret(tlsSecret, caBundle, install);
  if (problem !== undefined) {
    throw new ConfigError([
      `${install.outDir}/ does not fit this installation: ${problem}; run "just gen"`,
    ]);
  }
  const changed = findChanged(configuration, caBundle, install);
  const notes =
    changed.length === 0
      ? []
      : [
          `${join(install.outDir, 'webhook.yaml')} differs from what "just gen" would write now (${changed.join(', ')}) and is used unchanged: run "just gen" first if a setting has changed`,
        ];
  return { webhook, tlsSecret, clusterId: clusterId?.trim(), notes };
}

const tlsSecretSchema = v.object({
  metadata: v.object({ name: v.string(), namespace: v.string() }),
  data: v.object({ 'tls.crt': v.string(), 'tls.key': v.string() }),
});

const looseConfiguration = v.object({ webhooks: v.tuple([v.record(v.string(), v.unknown())]) });

/** The fields that differ from the settings, because these changed or the file was edited. */
function findChanged(
  configuration: unknown,
  caBundle: string,
  install: InstallSettings,
): readonly string[] {
  const [written] = v.parse(looseConfiguration, configuration).webhooks;
  const [{ clientConfig, ...expected }] = toWebhookConfiguration(install, '').webhooks;
  const all = { ...expected, clientConfig: { ...clientConfig, caBundle } };
  return Object.entries(all).flatMap(([field, value]) =>
    isDeepStrictEqual(value, written[field]) ? [] : field,
  );
}

function problemOfWebhook(
  name: string,
  called: InstallSettings['service'] | undefined,
  install: InstallSettings,
): string | undefined {
  if (called === undefined) {
    return 'webhook.yaml calls a URL instead of a Knative Service (WEBHOOK_URL)';
  }
  return name === install.name && toHost(called) === toHost(install.service)
    ? undefined
    : `webhook.yaml is for ${name} behind the Service ${called.name} in ${called.namespace}`;
}

function problemOfSecret(
  tlsSecret: string,
  caBundle: string,
  install: InstallSettings,
): string | undefined {
  const { metadata, data } = v.parse(tlsSecretSchema, parse(tlsSecret));
  const { name, namespace } = metadata;
  if (name !== `${install.name}-tls` || namespace !== install.namespace) {
    return `tls-secret.yaml is for ${name} in ${namespace}, not for ${install.name}-tls in ${install.namespace}`;
  }
  const certificates = toCertificates(data['tls.crt']);
  const [certificate] = certificates;
  if (certificate === undefined) return 'tls-secret.yaml has no certificate';
  const host = toHost(install.service);
  if (certificate.checkHost(host) === undefined)
    return `the certificate in tls-secret.yaml is not for ${host}`;
  if (certificate.validToDate.getTime() < Date.now()) {
    return `the certificate in tls-secret.yaml expired at ${certificate.validTo}`;
  }
  if (!certificate.checkPrivateKey(createPrivateKey(atob(data['tls.key'])))) {
    return 'the key in tls-secret.yaml does not belong to its certificate';
  }
  // A CA that does not match its certificate makes the API server reject every review.
  return isTrusted(certificates, caBundle)
    ? undefined
    : 'the certificate in tls-secret.yaml is not from the CA in webhook.yaml';
}

/** Whether the CA of the webhook configuration signed the first certificate, directly or through the others. */
function isTrusted(certificates: readonly X509Certificate[], caBundle: string): boolean {
  // Without a CA the API server trusts its system's CAs.
  if (caBundle === '') return true;
  const trusted = toCertificates(caBundle);
  for (const certificate of certificates.toReversed()) {
    if (trusted.some(({ publicKey }) => certificate.verify(publicKey))) trusted.push(certificate);
  }
  return certificates.slice(0, 1).every((certificate) => trusted.includes(certificate));
}

/** Parses base64 of PEM. */
export function toCertificates(base64: string): X509Certificate[] {
  const blocks = atob(base64).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return (blocks ?? []).map((pem) => new X509Certificate(pem));
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
