import { toDockerConfig } from '../../../lib/install/pull-secret.ts';
import { readData } from '../kubectl.ts';
import type { DeploySettings } from '../settings.ts';

/** The webhook's credentials from the Secret `registry-auth`, as a docker `config.json`. */
export async function readBackupAuth({ install, backup }: DeploySettings): Promise<string> {
  const data = await readData('secret', 'registry-auth', install.namespace);
  const { '.dockerconfigjson': config, username = '', password = '' } = data;
  return config === undefined
    ? toDockerConfig(backup.domain, { username: decode(username), password: decode(password) })
    : decode(config);
}

export function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString().trim();
}
