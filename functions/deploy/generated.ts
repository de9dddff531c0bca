import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { parse } from 'yaml';
import { ConfigError } from '../../lib/errors.ts';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { toHost } from './manifests.ts';
import { webhookConfiguration } from './objects.ts';

/** What `just gen` wrote. */
export interface Generated {
  /** YAML. */
  readonly webhook: string;
  /** YAML. */
  readonly tlsSecret: string;
  /** What an older one has not written. */
  readonly clusterId: string | undefined;
}

/** Reads it, and sees that it is for this installation. Throws `ConfigError` where it is not, or is not there. */
export async function readGenerated(install: InstallSettings): Promise<Generated> {
  const path = (name: string): string => join(install.outDir, name);
  const [webhook, tlsSecret, certificate, clusterId] = await Promise.all(
    ['webhook.yaml', 'tls-secret.yaml', 'tls.crt', 'cluster-id'].map((name) =>
      readText(path(name)),
    ),
  );
  if (webhook === undefined || tlsSecret === undefined || certificate === undefined) {
    throw new ConfigError([`${install.outDir}/ is not complete: run "just gen" first`]);
  }
  const problem =
    problemOfWebhook(webhook, install) ??
    problemOfCertificate(new X509Certificate(certificate), install);
  if (problem !== undefined) {
    throw new ConfigError([`${install.outDir}/ is of no use here: ${problem}; run "just gen"`]);
  }
  return { webhook, tlsSecret, clusterId: clusterId?.trim() };
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

function problemOfCertificate(
  certificate: X509Certificate,
  install: InstallSettings,
): string | undefined {
  const host = toHost(install.service);
  if (certificate.checkHost(host) === undefined) return `its certificate is not for ${host}`;
  return certificate.validToDate.getTime() < Date.now()
    ? `its certificate was good until ${certificate.validTo}`
    : undefined;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
