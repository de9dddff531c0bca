import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import { type Config, parseConfig } from '../../lib/config/config.ts';
import { ConfigError } from '../../lib/errors.ts';
import { toDockerConfig, toPullSecret } from '../../lib/install/pull-secret.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { formatYaml, parseYaml } from '../../lib/install/yaml.ts';
import { withoutListener } from '../shared/environment.ts';

const rightsFile = join(import.meta.dirname, '../../knative/pull-secrets.yaml');

try {
  await main();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [String(error)];
  for (const problem of problems) process.stderr.write(`pull-secret: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

/**
 * Writes, for `kubectl apply` in a namespace, what lets the webhook read its pull secrets and, where BACKUP_PULL_SECRET is set, the Secret
 * with which its pods pull from the backup.
 */
async function main(): Promise<void> {
  const config = parseConfig(withoutListener(process.env));
  const rights = await readRights(parseSettings(process.env).namespace);
  const { backupPullSecret: name } = config;
  const secret = name === undefined ? [] : [formatYaml(await readSecret(name, config))];
  // All at once: half of it is never applied.
  process.stdout.write([...rights, ...secret].join('---\n'));
}

/** The webhook's ServiceAccount is in the namespace of the installation. */
async function readRights(namespace: string): Promise<readonly string[]> {
  const objects = parseYaml(await readFile(rightsFile, 'utf8'));
  for (const object of objects) {
    if (object.hasIn(['subjects', 0])) object.setIn(['subjects', 0, 'namespace'], namespace);
  }
  return objects.map((object) => String(object).replace(/^---\n/, ''));
}

async function readSecret(
  name: string,
  { backup, registryAuthDir: dir }: Config,
): Promise<ReturnType<typeof toPullSecret>> {
  const logger = createLogger({
    level: 'warn',
    format: 'pretty',
    write: (line) => process.stderr.write(line),
  });
  const read = await openRegistryAuth({ dir, registry: backup, logger });
  return toPullSecret(name, toDockerConfig(backup.domain, await read()));
}
