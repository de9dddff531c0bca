import { type Cloud, cloudOf, cloudRegistries, clouds } from '../image/cloud-registry.ts';
import type { BackupRegistry } from './backup-registry.ts';

/** Where the credentials of the backup come from: files, the identity of a cloud, or nowhere. */
export const registryAuths = ['file', ...clouds, 'none'] as const;

export type RegistryAuth = (typeof registryAuths)[number];

interface AuthSettings {
  readonly backup: BackupRegistry;
  readonly naming: 'flat' | 'nested';
}

/** Whether the identity of a cloud replaces a password. */
export function isCloud(auth: RegistryAuth | 'auto'): auth is Cloud {
  return clouds.some((cloud) => cloud === auth);
}

/** Why `auth` cannot work with the other settings, one sentence for each variable to change. */
export function findAuthProblems(
  auth: RegistryAuth | 'auto',
  { backup, naming }: AuthSettings,
): readonly string[] {
  if (auth === 'auto' || auth === 'file') return [];
  const problems: string[] = [];
  if (isCloud(auth) && cloudOf(backup.domain) !== auth) {
    const { name, host } = cloudRegistries[auth];
    problems.push(
      `REGISTRY must be a host of ${name}, such as ${host}, with REGISTRY_AUTH=${auth}`,
    );
  }
  if (backup.namespace === undefined) {
    problems.push(
      `REGISTRY_NAMESPACE must be set with REGISTRY_AUTH=${auth}: no username can replace it`,
    );
  }
  if (auth === 'ecr' && naming === 'flat') {
    problems.push(
      'NAMING must be nested with REGISTRY_AUTH=ecr: Amazon ECR accepts no "__" in names',
    );
  }
  return problems;
}
