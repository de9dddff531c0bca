import { stringify } from 'yaml';
import { openRegistryAuth } from '../../lib/adapters/credentials/registry-auth.ts';
import { createLogger } from '../../lib/adapters/log.ts';
import { parseConfig } from '../../lib/config.ts';
import { ConfigError } from '../../lib/errors.ts';
import { toDockerConfig, toPullSecret } from '../../lib/install/pull-secret.ts';

try {
  await main();
} catch (error) {
  const problems = error instanceof ConfigError ? error.problems : [String(error)];
  for (const problem of problems) process.stderr.write(`pull-secret: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

/** Writes the Secret with which pods pull from the backup, for `kubectl apply`. */
async function main(): Promise<void> {
  const { backup, backupPullSecret, registryAuthDir } = parseConfig(process.env);
  if (backupPullSecret === undefined) {
    throw new ConfigError(['BACKUP_PULL_SECRET must be set: it is the name of the secret']);
  }
  const logger = createLogger({
    level: 'warn',
    format: 'pretty',
    write: (line) => process.stderr.write(line),
  });
  const read = await openRegistryAuth({ dir: registryAuthDir, registry: backup, logger });
  const secret = toPullSecret(backupPullSecret, toDockerConfig(backup.domain, await read()));
  process.stdout.write(stringify(secret, { lineWidth: 0 }));
}
