import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Registry, RegistryUser } from '../real/support/docker-registry.ts';
import { createTempDir } from '../real/support/janitor.ts';
import { lookUpProgram, runOrThrow } from '../real/support/program.ts';

/** Another tool that copies an image with all platforms from registry to registry. */
export interface Peer {
  readonly name: string;
  readonly copy: (source: string, target: string) => Promise<unknown>;
}

export interface Peers {
  readonly installed: readonly Peer[];
  readonly missing: readonly string[];
}

/** The peers in PATH, logged in to the backup registry. */
export async function findPeers(
  { host }: Pick<Registry, 'host'>,
  user: RegistryUser,
): Promise<Peers> {
  const dir = createTempDir('peers');
  const auth = Buffer.from(`${user.name}:${user.password}`).toString('base64');
  await writeFile(join(dir, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }));
  const env = { DOCKER_CONFIG: dir };
  const plainHttp = (image: string): string => `--host=reg=${image.split('/')[0]},tls=disabled`;
  const regctlCopy = (source: string, target: string): readonly string[] => [
    'image',
    'copy',
    plainHttp(source),
    plainHttp(target),
    source,
    target,
  ];
  const peers: readonly Peer[] = [
    {
      name: 'skopeo',
      copy: (source, target) =>
        runOrThrow('skopeo', [
          'copy',
          '--quiet',
          '--all',
          '--src-tls-verify=false',
          '--dest-tls-verify=false',
          `--dest-authfile=${join(dir, 'config.json')}`,
          `docker://${source}`,
          `docker://${target}`,
        ]),
    },
    {
      name: 'crane',
      copy: (source, target) =>
        runOrThrow('crane', ['copy', '--insecure', source, target], { env }),
    },
    {
      name: 'regctl',
      copy: (source, target) => runOrThrow('regctl', regctlCopy(source, target), { env }),
    },
  ];
  const installed = peers.filter(({ name }) => lookUpProgram(name) !== undefined);
  return {
    installed,
    missing: peers.filter((peer) => !installed.includes(peer)).map(({ name }) => name),
  };
}
