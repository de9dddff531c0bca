import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../../lib/errors.ts';
import { createCertificateChain } from '../../lib/install/certificate.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';
import { toTlsSecret } from '../../lib/install/tls-secret.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { formatYaml } from '../../lib/install/yaml.ts';

interface OutputFile {
  readonly name: string;
  readonly text: string;
  /** Holds a private key: for its owner's eyes only. */
  readonly isSecret: boolean;
  /** For a person. */
  readonly what: string;
}

const caKeyFile = 'ca.key';
const clusterIdFile = 'cluster-id';

try {
  await main();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [toSentence(error)];
  for (const problem of problems) process.stderr.write(`gen: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

async function main(): Promise<void> {
  const settings = parseSettings(process.env);
  const files = await createFiles(settings);
  await writeFiles(settings.outDir, files);
  // The key of a CA that nobody trusts any more.
  if (!settings.keepCaKey) await rm(join(settings.outDir, caKeyFile), { force: true });
  process.stdout.write(`${toReport(settings, files)}\n`);
}

async function createFiles(settings: InstallSettings): Promise<readonly OutputFile[]> {
  const { hosts, name, namespace, keepCaKey, outDir } = settings;
  const chain = await createCertificateChain({ hosts, now: new Date() });
  const webhook = formatYaml(toWebhookConfiguration(settings, chain.ca));
  const secret = formatYaml(toTlsSecret(settings, chain));
  const caKey = {
    name: caKeyFile,
    text: chain.caKey,
    isSecret: true,
    what: "the CA's key: whoever has it can speak for the webhook",
  };
  return [
    { name: 'ca.crt', text: chain.ca, isSecret: false, what: 'the CA, ten years' },
    ...(keepCaKey ? [caKey] : []),
    {
      name: 'tls.crt',
      text: chain.certificate,
      isSecret: false,
      what: `the certificate for ${hosts.join(', ')}, one year`,
    },
    { name: 'tls.key', text: chain.key, isSecret: true, what: 'its key' },
    {
      name: 'tls-secret.yaml',
      text: secret,
      isSecret: true,
      what: `both as the Secret ${name}-tls in ${namespace}`,
    },
    {
      name: 'webhook.yaml',
      text: `# Written by "just gen". To take the webhook out again: ${toWayOut(settings)}\n${webhook}`,
      isSecret: false,
      what: 'what makes the API server call the webhook',
    },
    {
      name: clusterIdFile,
      text: `${await readClusterId(outDir)}\n`,
      isSecret: false,
      what: 'CLUSTER_ID of this cluster, made once',
    },
  ];
}

/** Private copies in the backup are for the namespaces of one cluster, so that it may never get another id. */
async function readClusterId(outDir: string): Promise<string> {
  const made = await readFile(join(outDir, clusterIdFile), 'utf8').catch(() => '');
  return made.trim() === '' ? randomUUID() : made.trim();
}

/** All or nothing, as far as a file system goes: nothing is replaced before everything is written, and no file is ever half there. */
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

function toReport(settings: InstallSettings, files: readonly OutputFile[]): string {
  const { outDir, service, url, name, namespace } = settings;
  const width = Math.max(...files.map((file) => join(outDir, file.name).length));
  const called = url ?? `the Service ${service.name} in ${service.namespace}`;
  return [
    'Written:',
    ...files.map((file) => `  ${join(outDir, file.name).padEnd(width)}  ${file.what}`),
    '',
    'Next:',
    `  kubectl apply -f ${join(outDir, 'tls-secret.yaml')}`,
    `  then see that ${called} answers https with that certificate; last, because from then on it is asked:`,
    `  kubectl apply -f ${join(outDir, 'webhook.yaml')}`,
    '  kubectl label namespace NAMESPACE image-cloner=enabled',
    ...(isRoutesOwn(settings)
      ? [
          '',
          `Mind: Knative keeps a Service of its own for ${name} in ${namespace}; set SERVICE_NAME or SERVICE_NAMESPACE to another one.`,
        ]
      : []),
    '',
    'To take the webhook out again, whatever happens:',
    `  ${toWayOut(settings)}`,
  ].join('\n');
}

/** The Route of a Knative Service fails where somebody else has made a Service of its name. */
function isRoutesOwn({ url, service, name, namespace }: InstallSettings): boolean {
  return url === undefined && service.name === name && service.namespace === namespace;
}

function toWayOut({ name }: InstallSettings): string {
  return `kubectl delete mutatingwebhookconfiguration ${name}`;
}

function toSentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
