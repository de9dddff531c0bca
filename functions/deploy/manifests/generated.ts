import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { parse } from 'yaml';
import { ConfigError } from '../../../lib/errors.ts';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../lib/install/webhook-configuration.ts';
import { toHost } from './manifests.ts';
import { tlsSecret as tlsSecretSchema, webhookConfiguration } from './objects.ts';

/** What `just gen` wrote. */
export interface Generated {
  /** YAML. */
  readonly webhook: string;
  /** YAML. */
  readonly tlsSecret: string;
  /** What an older one has not written. */
  readonly clusterId: string | undefined;
  /** Nothing that stands in the way, but that a person should know. */
  readonly notes: readonly string[];
}

/** Reads it, and sees that it is for this installation. Throws `ConfigError` where it is not, or is not there. */
export async function readGenerated(install: InstallSettings): Promise<Generated> {
  const path = (name: string): string => join(install.outDir, name);
  const [webhook, tlsSecret, clusterId] = await Promise.all(
    ['webhook.yaml', 'tls-secret.yaml', 'cluster-id'].map((name) => readText(path(name))),
  );
  if (webhook === undefined || tlsSecret === undefined) {
    throw new ConfigError([`${install.outDir}/ is not complete: run "just gen" first`]);
  }
  const problem =
    problemOfWebhook(webhook, install) ?? problemOfSecret(tlsSecret, webhook, install);
  if (problem !== undefined) {
    throw new ConfigError([`${install.outDir}/ is of no use here: ${problem}; run "just gen"`]);
  }
  const changed = findChanged(webhook, install);
  const notes =
    changed.length === 0
      ? []
      : [
          `${path('webhook.yaml')} is not what "just gen" would write now (${changed.join(', ')}), and is used as it is: run "just gen" first if a setting has changed`,
        ];
  return { webhook, tlsSecret, clusterId: clusterId?.trim(), notes };
}

const handWritten = v.object({
  webhooks: v.tuple([
    v.looseObject({ clientConfig: v.looseObject({ caBundle: v.optional(v.unknown()) }) }),
  ]),
});

/** Fields in which it differs from what the settings ask for: they may have changed since, or somebody has edited it. */
function findChanged(webhook: string, install: InstallSettings): readonly string[] {
  const [written] = v.parse(handWritten, parse(webhook)).webhooks;
  const [{ clientConfig, ...wanted }] = toWebhookConfiguration(install, '').webhooks;
  const { caBundle } = written.clientConfig;
  const all = { ...wanted, clientConfig: { ...clientConfig, caBundle } };
  return Object.entries(all).flatMap(([field, value]) =>
    isDeepStrictEqual(value, written[field]) ? [] : field,
  );
}

function problemOfWebhook(webhook: string, { name, service }: InstallSettings): string | undefined {
  const { metadata, webhooks } = v.parse(webhookConfiguration, parse(webhook));
  const called = webhooks[0].clientConfig.service;
  if (called === undefined) return 'it calls a URL, not a Knative Service (WEBHOOK_URL)';
  return metadata.name === name &&
    called.name === service.name &&
    called.namespace === service.namespace
    ? undefined
    : `it is for ${metadata.name} behind the Service ${called.name} in ${called.namespace}`;
}

function problemOfSecret(
  tlsSecret: string,
  webhook: string,
  install: InstallSettings,
): string | undefined {
  const { metadata, data } = v.parse(tlsSecretSchema, parse(tlsSecret));
  const { name, namespace } = metadata;
  if (name !== `${install.name}-tls` || namespace !== install.namespace) {
    return `its Secret is ${name} in ${namespace}, and not in ${install.namespace}`;
  }
  const certificates = toCertificates(data['tls.crt']);
  const [certificate] = certificates;
  if (certificate === undefined) return 'there is no certificate in its Secret';
  const host = toHost(install.service);
  if (certificate.checkHost(host) === undefined) return `its certificate is not for ${host}`;
  if (certificate.validToDate.getTime() < Date.now()) {
    return `its certificate was good until ${certificate.validTo}`;
  }
  if (!certificate.checkPrivateKey(createPrivateKey(atob(data['tls.key'])))) {
    return "its key is not the certificate's";
  }
  // Applied one after the other, they would have every review refused in between, and for good.
  return isTrusted(certificates, webhook)
    ? undefined
    : 'its certificate is not of the CA in webhook.yaml';
}

/** Whether what the API server is told to trust has signed the first one, by way of the others. */
function isTrusted(certificates: readonly X509Certificate[], webhook: string): boolean {
  const { caBundle } = v.parse(webhookConfiguration, parse(webhook)).webhooks[0].clientConfig;
  // Without one it trusts what its system does.
  if (caBundle === '') return true;
  const trusted = toCertificates(caBundle);
  for (const certificate of certificates.toReversed()) {
    if (trusted.some(({ publicKey }) => certificate.verify(publicKey))) trusted.push(certificate);
  }
  return certificates.slice(0, 1).every((certificate) => trusted.includes(certificate));
}

/** From base64 of PEM. */
function toCertificates(base64: string): X509Certificate[] {
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
