import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCertificateChain } from '../../lib/install/certificate.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';
import { toTlsSecret } from '../../lib/install/tls-secret.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { formatYaml } from '../../lib/install/yaml.ts';
import { allOrProblems, attempt } from '../shared/all-or-problems.ts';
import type { Arguments } from '../shared/command-line/index.ts';
import { print } from '../shared/run-command.ts';
import { readSettings } from '../shared/settings/installation.ts';

interface OutputFile {
  readonly name: string;
  readonly text: string;
  /** Holds a private key: only the owner may read the file. @default false */
  readonly isSecret?: boolean;
  readonly description: string;
}

const caKeyFile = 'ca.key';
const clusterIdFile = 'cluster-id';

/** Writes certificates, the TLS Secret and the webhook configuration. */
export async function gen({ problems, values }: Arguments): Promise<boolean> {
  const { env, settings: recorded } = await readSettings({
    env: process.env,
    settingsFile: values.get('settings'),
  });
  const [settings] = await allOrProblems(problems, [attempt(() => parseSettings(env))]);
  const files = await createFiles(settings, recorded['CLUSTER_ID']);
  await writeFiles(settings.outDir, files);
  // The CA of this key is replaced, so no cluster trusts it any more.
  if (!settings.keepCaKey) await rm(join(settings.outDir, caKeyFile), { force: true });
  print(toReport(settings, files));
  if (await isTracked(settings.outDir)) {
    print(
      `\nWarning: git does not ignore ${join(settings.outDir, 'tls.key')}, a private key: add it to .gitignore, or set OUT_DIR outside of the checkout.`,
    );
  }
  return true;
}

async function createFiles(
  settings: InstallSettings,
  clusterId: string | undefined,
): Promise<readonly OutputFile[]> {
  const { hosts, name, namespace, keepCaKey, outDir } = settings;
  const chain = await createCertificateChain({ hosts, now: new Date() });
  const webhook = formatYaml(toWebhookConfiguration(settings, chain.ca));
  const secret = formatYaml(toTlsSecret(settings, chain));
  const caKey = {
    name: caKeyFile,
    text: chain.caKey,
    isSecret: true,
    description: 'the private key of the CA: it can sign certificates in the name of the webhook',
  };
  return [
    { name: 'ca.crt', text: chain.ca, description: 'the CA, valid for ten years' },
    ...(keepCaKey ? [caKey] : []),
    {
      name: 'tls.crt',
      text: chain.certificate,
      description: `the certificate for ${hosts.join(', ')}, valid for one year`,
    },
    { name: 'tls.key', text: chain.key, isSecret: true, description: 'its private key' },
    {
      name: 'tls-secret.yaml',
      text: secret,
      isSecret: true,
      description: `both as the Secret ${name}-tls in ${namespace}`,
    },
    {
      name: 'webhook.yaml',
      text: `# Written by "just gen". To remove the webhook: ${toRemoval(settings)}\n${webhook}`,
      description: 'the webhook configuration: it makes the API server call the webhook',
    },
    {
      name: clusterIdFile,
      text: `${clusterId ?? (await readClusterId(outDir))}\n`,
      description: 'CLUSTER_ID of this cluster, created once',
    },
  ];
}

/** Private copies in the backup belong to this id, so it must never change. */
async function readClusterId(outDir: string): Promise<string> {
  const stored = await readFile(join(outDir, clusterIdFile), 'utf8').catch(() => '');
  return stored.trim() === '' ? randomUUID() : stored.trim();
}

/** Writes temporary files first and renames them, so that a failure leaves no incomplete file and, up to the first rename, no new one. */
async function writeFiles(dir: string, files: readonly OutputFile[]): Promise<void> {
  await mkdir(dir, { recursive: true });
  const suffix = `.${randomUUID()}.tmp`;
  const toPath = ({ name }: OutputFile): string => join(dir, name);
  try {
    for (const file of files) {
      const mode = file.isSecret ? 0o600 : 0o644;
      await writeFile(`${toPath(file)}${suffix}`, file.text, { mode, flag: 'wx' });
    }
    for (const file of files) await rename(`${toPath(file)}${suffix}`, toPath(file));
  } catch (error) {
    await Promise.all(files.map((file) => rm(`${toPath(file)}${suffix}`, { force: true })));
    throw error;
  }
}

/** Whether `git add` would take the private key. */
async function isTracked(dir: string): Promise<boolean> {
  const ended = Promise.withResolvers<number>();
  const git = spawn('git', ['-C', dir, 'check-ignore', '--quiet', 'tls.key'], { stdio: 'ignore' });
  git.on('error', () => ended.resolve(-1));
  git.on('close', (code) => ended.resolve(code ?? -1));
  // 0: ignored, 1: not ignored, 128: no repository.
  return (await ended.promise) === 1;
}

function toReport(settings: InstallSettings, files: readonly OutputFile[]): string {
  const { outDir, service, url, name, namespace, labelValue } = settings;
  const width = Math.max(...files.map((file) => join(outDir, file.name).length));
  const endpoint = url ?? `the Service ${service.name} in ${service.namespace}`;
  return [
    'Written:',
    ...files.map((file) => `  ${join(outDir, file.name).padEnd(width)}  ${file.description}`),
    '',
    'Next:',
    `  kubectl apply -f ${join(outDir, 'tls-secret.yaml')}`,
    `  check that ${endpoint} answers https with that certificate; then, as the last step, since it makes the API server call it:`,
    `  kubectl apply -f ${join(outDir, 'webhook.yaml')}`,
    `  kubectl label namespace NAMESPACE image-cloner=${labelValue}`,
    ...(collidesWithRoute(settings)
      ? [
          '',
          `Warning: Knative creates its own Service ${name} in ${namespace}; set SERVICE_NAME or SERVICE_NAMESPACE to another one.`,
        ]
      : []),
    '',
    'To remove the webhook at any time:',
    `  ${toRemoval(settings)}`,
  ].join('\n');
}

/** The Route of a Knative Service fails if a Service of its name exists already. */
function collidesWithRoute({ url, service, name, namespace }: InstallSettings): boolean {
  return url === undefined && service.name === name && service.namespace === namespace;
}

function toRemoval({ name }: InstallSettings): string {
  return `kubectl delete mutatingwebhookconfiguration ${name}`;
}
