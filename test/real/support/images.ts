import { createCipheriv, createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Registry } from './docker-registry.ts';

export interface ImageOptions {
  /** Size of the incompressible file in each platform's layer. @default 4096 */
  readonly bytes?: number;
  /** Determines the digest together with the other options. @default the image's name */
  readonly seed?: string;
  /** `linux/arm64`, `linux/arm/v7`: an index of these. @default no index, one linux/amd64 manifest */
  readonly platforms?: readonly string[];
  /** @default oci */
  readonly format?: 'oci' | 'docker';
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const mediaTypes = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
};

/** Builds an image and pushes it as, for example, `library/alpine:3.12`. Resolves with the digest of the tag. */
export async function pushImage(
  registry: Pick<Registry, 'request'>,
  name: string,
  { bytes = 4096, seed = name, platforms, format = 'oci' }: ImageOptions = {},
): Promise<string> {
  const colon = name.lastIndexOf(':');
  const [repository, tag] = [name.slice(0, colon), name.slice(colon + 1)];
  const types = mediaTypes[format];
  const push = pushTo(registry, repository);

  const pushPlatform = async (platform: string, reference?: string): Promise<Descriptor> => {
    const [os, architecture, variant] = platform.split('/');
    const tar = createTar('data', createNoise(`${seed} ${platform}`, bytes));
    const layer = await push.blob(types.layer, gzipSync(tar, { level: 1 }));
    const config = await push.json(types.config, {
      architecture,
      os,
      ...(variant !== undefined && { variant }),
      config: { Labels: { seed } },
      rootfs: { type: 'layers', diff_ids: [sha256(tar)] },
      history: [{ created: '2026-01-01T00:00:00Z', created_by: 'image-cloner test' }],
    });
    const manifest = { schemaVersion: 2, mediaType: types.manifest, config, layers: [layer] };
    return await push.manifest(types.manifest, manifest, reference);
  };

  if (platforms === undefined) return (await pushPlatform('linux/amd64', tag)).digest;
  const manifests = [];
  for (const platform of platforms) {
    const [os, architecture, variant] = platform.split('/');
    const described = { os, architecture, ...(variant !== undefined && { variant }) };
    manifests.push({ ...(await pushPlatform(platform)), platform: described });
  }
  const index = { schemaVersion: 2, mediaType: types.index, manifests };
  return (await push.manifest(types.index, index, tag)).digest;
}

interface Pusher {
  readonly blob: (mediaType: string, content: Uint8Array<ArrayBuffer>) => Promise<Descriptor>;
  readonly json: (mediaType: string, content: object) => Promise<Descriptor>;
  /** A digest or a tag. */
  readonly manifest: (mediaType: string, content: object, tag?: string) => Promise<Descriptor>;
}

function pushTo({ request }: Pick<Registry, 'request'>, repository: string): Pusher {
  const blob: Pusher['blob'] = async (mediaType, content) => {
    const digest = sha256(content);
    const begun = await request(`${repository}/blobs/uploads/`, { method: 'POST' });
    await expectStatus(begun, 202);
    const location = new URL(begun.headers.get('location') ?? '', begun.url);
    location.searchParams.set('digest', digest);
    const ended = await request(location.href, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream' },
      body: content,
    });
    await expectStatus(ended, 201);
    return { mediaType, digest, size: content.length };
  };
  return {
    blob,
    json: (mediaType, content) => blob(mediaType, Buffer.from(JSON.stringify(content))),
    manifest: async (mediaType, content, tag) => {
      const body = Buffer.from(JSON.stringify(content));
      const digest = sha256(body);
      const response = await request(`${repository}/manifests/${tag ?? digest}`, {
        method: 'PUT',
        headers: { 'content-type': mediaType },
        body,
      });
      await expectStatus(response, 201);
      return { mediaType, digest, size: body.length };
    },
  };
}

/** A tar archive (ustar) of one file. */
function createTar(name: string, content: Uint8Array): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
  header.write(`${octal(content.length, 11)}\0${octal(0, 11)}\0`, 124);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width, '0');
}

/** Pseudo-random bytes of a seed. */
function createNoise(seed: string, bytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return cipher.update(Buffer.alloc(bytes));
}

function sha256(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

async function expectStatus(response: Response, status: number): Promise<void> {
  if (response.status === status) return;
  throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
}
