import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { parse } from 'yaml';
import { ConfigError } from '../../../lib/errors.ts';
import { createCertificateChain } from '../../../lib/install/certificate.ts';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { toTlsSecret } from '../../../lib/install/tls-secret.ts';
import { formatYaml } from '../../../lib/install/yaml.ts';
import { readData } from '../kubectl.ts';
import { toHost } from '../manifests/index.ts';
import { findRegistered } from '../registration.ts';
import { findCertificateProblem, type TlsData } from './check-certificate.ts';

/** The alert fires 20 days before the end: then a deployment renews by itself. */
const minRemainingMs = 20 * 86_400_000;

/** What the webhook presents, and what the API server trusts. */
export interface ServingCertificate {
  /** PEM: the CA bundle of the webhook configuration. */
  readonly ca: string;
  /** YAML of the Secret; absent if the one in the cluster stays. */
  readonly secret?: string;
}

/**
 * With `CERTIFICATES=renew`, the certificate in the cluster stays while it is good; else a new one replaces it. With `files`, it is
 * the one that `just gen` wrote. cert-manager issues its own later, see `readIssuedCa`. Rejects with `ConfigError` if that one is missing or does not fit this installation.
 */
export async function chooseCertificate(install: InstallSettings): Promise<ServingCertificate> {
  const now = new Date();
  if (install.certificates === 'files') return await readFiles(install, now);
  if (install.certificates === 'cert-manager') return { ca: '' };
  const [registered, data] = await Promise.all([
    findRegistered(install.name),
    readData('secret', `${install.name}-tls`, install.namespace),
  ]);
  const bundle = registered?.webhooks[0].clientConfig.caBundle;
  const later = new Date(now.getTime() + minRemainingMs);
  const ca = findTrusting([bundle, data['ca.crt']], data, install, later);
  if (ca !== undefined) return { ca };
  const chain = await createCertificateChain({ hosts: install.hosts, now });
  return { ca: chain.ca, secret: formatYaml(toTlsSecret(install, chain)) };
}

/** The CA of the certificate that cert-manager issued, in PEM. */
export async function readIssuedCa({ name, namespace }: InstallSettings): Promise<string> {
  const { 'ca.crt': ca = '' } = await readData('secret', `${name}-tls`, namespace);
  if (ca === '') throw new Error(`cert-manager wrote no ca.crt into the Secret ${name}-tls`);
  return atob(ca);
}

/** The first bundle (base64) that makes the certificate good. A bundle with two CAs belongs to a renewal and stays. */
function findTrusting(
  bundles: readonly (string | undefined)[],
  data: TlsData,
  { service }: InstallSettings,
  now: Date,
): string | undefined {
  return bundles
    .flatMap((bundle = '') => (bundle === '' ? [] : atob(bundle)))
    .find((ca) => findCertificateProblem(data, { host: toHost(service), ca, now }) === undefined);
}

const secretSchema = v.object({
  metadata: v.object({ name: v.string(), namespace: v.string() }),
  data: v.record(v.string(), v.string()),
});

async function readFiles(install: InstallSettings, now: Date): Promise<ServingCertificate> {
  const { outDir, name, namespace } = install;
  const [secret, ca] = await Promise.all(
    ['tls-secret.yaml', 'ca.crt'].map((file) => readText(join(outDir, file))),
  );
  if (secret === undefined || ca === undefined) {
    throw new ConfigError([
      `${outDir}/ is not complete, and CERTIFICATES=files needs it: run "just gen" first`,
    ]);
  }
  const { metadata, data } = v.parse(secretSchema, parse(secret));
  const problem =
    metadata.name === `${name}-tls` && metadata.namespace === namespace
      ? findCertificateProblem(data, { host: toHost(install.service), ca, now })
      : `it is for ${metadata.name} in ${metadata.namespace}, not for ${name}-tls in ${namespace}`;
  if (problem === undefined) return { ca, secret };
  throw new ConfigError([
    `${join(outDir, 'tls-secret.yaml')} does not fit this installation: ${problem}; run "just gen"`,
  ]);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
