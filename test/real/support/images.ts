import { type Image, makeImage, makeIndex } from '../../../lib/memory-registry/index.ts';
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

type Target = Pick<Registry, 'request'>;

/** Builds an image and pushes it as, for example, `library/alpine:3.12`. Resolves with the digest of the tag. */
export async function pushImage(
  registry: Target,
  name: string,
  { bytes = 4096, seed = name, platforms, format: mediaTypes = 'oci' }: ImageOptions = {},
): Promise<string> {
  const colon = name.lastIndexOf(':');
  const [repository, tag] = [name.slice(0, colon), name.slice(colon + 1)];
  const make = (platform?: string): Image =>
    makeImage({ layers: [bytes], seed, mediaTypes, ...(platform !== undefined && { platform }) });
  const image = platforms === undefined ? make() : makeIndex(platforms.map(make), { mediaTypes });
  await push(registry, repository, image, tag);
  return image.digest;
}

/** Pushes an image byte for byte, its children first; by digest only if there is no tag. */
export async function push(
  registry: Target,
  repository: string,
  { children, blobs, mediaType, bytes, digest }: Image,
  reference = digest,
): Promise<void> {
  for (const child of children) await push(registry, repository, child);
  for (const blob of blobs) await pushBlob(registry, repository, blob);
  const response = await registry.request(`${repository}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: bytes,
  });
  await expectStatus(response, 201);
}

async function pushBlob(
  { request }: Target,
  repository: string,
  { digest, bytes }: Image['blobs'][number],
): Promise<void> {
  const begun = await request(`${repository}/blobs/uploads/`, { method: 'POST' });
  await expectStatus(begun, 202);
  const location = new URL(begun.headers.get('location') ?? '', begun.url);
  location.searchParams.set('digest', digest);
  const ended = await request(location.href, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
  });
  await expectStatus(ended, 201);
}

async function expectStatus(response: Response, status: number): Promise<void> {
  if (response.status === status) return;
  throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
}
