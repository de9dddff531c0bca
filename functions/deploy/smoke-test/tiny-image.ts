import { findRegistryCredentials } from '../../../lib/adapters/credentials/docker-config.ts';
import { openRegistryCloner } from '../../../lib/adapters/registry/index.ts';
import { toBackupNamespace } from '../../../lib/config/backup-registry.ts';
import { formatReference } from '../../../lib/index.ts';
import {
  createMemoryRegistry,
  makeImage,
  makeIndex,
  seed,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import type { DeploySettings } from '../settings.ts';

const name = 'image-cloner-probe';
const tag = '1';
/** Platforms of nodes. The image has no program, because nodes only need to pull it. */
const platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'linux/ppc64le', 'linux/s390x'];

/**
 * Pushes an image of a few hundred bytes into the backup from this machine. `dockerConfig` is a docker `config.json` with push
 * access to the backup. Resolves with the image's name.
 */
export async function pushTinyImage(
  { backup, insecureRegistries }: DeploySettings,
  dockerConfig: string,
): Promise<string> {
  const credentials = findRegistryCredentials(dockerConfig, backup);
  const namespace = toBackupNamespace(backup, credentials?.username ?? '');
  const target = { domain: backup.domain, path: `${namespace}/${name}` };
  const index = makeIndex(platforms.map((platform) => makeImage({ platform, layers: [64] })));
  const registry = createMemoryRegistry();
  seed(registry, `${name}:${tag}`, index);
  const served = await serveMemoryRegistry({ registry });
  try {
    const cloner = openRegistryCloner({
      configuredHosts: [backup.domain],
      insecureRegistries: [...insecureRegistries, served.host],
      trust: undefined,
      maxImageBytes: undefined,
      insideCluster: false,
      proxy: undefined,
      onResponse: () => undefined,
    });
    const copied = await cloner.copy(
      {
        source: { domain: served.host, path: name, tag, digest: index.digest },
        sourceAccess: { side: 'source' },
        target,
        targetAccess: { side: 'backup', credentials },
        firstTag: tag,
      },
      AbortSignal.timeout(60_000),
      () => undefined,
    );
    await copied.release();
  } finally {
    await served.close();
  }
  return formatReference({ ...target, tag });
}
