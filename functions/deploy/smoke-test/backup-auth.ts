import * as v from 'valibot';
import { toDockerConfig } from '../../../lib/install/pull-secret.ts';
import { find } from '../kubectl.ts';
import { secret } from '../manifests/index.ts';
import type { DeploySettings } from '../settings.ts';

/** The webhook's credentials from the Secret `registry-auth`, as a docker `config.json`. */
export async function readBackupAuth(settings: DeploySettings): Promise<string> {
  const {
    '.dockerconfigjson': config,
    username,
    password,
  } = await readSecret(settings, 'registry-auth');
  if (config !== undefined) return decode(config);
  return toDockerConfig(settings.backup.domain, {
    username: decode(username),
    password: decode(password),
  });
}

/** The pull secret `name` of image-cloner's namespace as a docker `config.json`, if an administrator created one. */
export async function readPullSecret(
  settings: DeploySettings,
  name: string,
): Promise<string | undefined> {
  const { '.dockerconfigjson': config } = await readSecret(settings, name);
  return config === undefined ? undefined : decode(config);
}

async function readSecret(
  { install }: DeploySettings,
  name: string,
): Promise<Readonly<Partial<Record<string, string>>>> {
  const object = await find('secret', name, `--namespace=${install.namespace}`);
  return v.parse(secret, object ?? {}).data;
}

function decode(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString().trim();
}
