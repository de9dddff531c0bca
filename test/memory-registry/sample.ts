import {
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
} from '../../lib/memory-registry/index.ts';

/** Well-known digests, and those of `manifest` and `index`, computed with sha256sum. */
export const digests = {
  /** '' */
  empty: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  /** '{}' */
  config: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
  /** 'hello' */
  layer: 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
  /** 'abc' */
  abc: 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  manifest: 'sha256:805d1b126ebbc8854e3d9d2b39638491e8e04199cee0ef8608db58aa06d3b284',
  index: 'sha256:df3f41b2e743ea45eca2d64a1e1c78d480c4562e934419735d3616a931fe5329',
  absent: `sha256:${'0'.repeat(64)}`,
} as const;

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
export const ociIndex = 'application/vnd.oci.image.index.v1+json';

export const manifest = `{"schemaVersion":2,"mediaType":"${ociManifest}","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"${digests.config}","size":2},"layers":[{"mediaType":"text/plain","digest":"${digests.layer}","size":5}]}`;
export const index = `{"schemaVersion":2,"mediaType":"${ociIndex}","manifests":[{"mediaType":"${ociManifest}","digest":"${digests.manifest}","size":357}]}`;

export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Creates a registry with the manifest as `app:1` and the index as `app:all`. */
export function createSample(options: MemoryRegistryOptions = {}): MemoryRegistry {
  const registry = createMemoryRegistry(options);
  const { store } = registry;
  store.putBlob('app', toBytes('{}'));
  store.putBlob('app', toBytes('hello'));
  store.putManifest('app', { mediaType: ociManifest, bytes: toBytes(manifest) }, '1');
  store.putManifest('app', { mediaType: ociIndex, bytes: toBytes(index) }, 'all');
  return registry;
}

/** Starts an upload session and returns its Location. */
export async function startUpload({ app }: MemoryRegistry, repository = 'app'): Promise<URL> {
  const response = await app.request(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  return new URL(response.headers.get('location') ?? '');
}

/** The URL of the PUT that completes the upload. */
export function withDigest(location: URL, digest: string): string {
  const url = new URL(location);
  url.searchParams.set('digest', digest);
  return url.href;
}

/** The code of the first error in a body, or '' if there is none. */
export async function codeOf(response: Response): Promise<string> {
  return /"code":"([A-Z_]+)"/.exec(await response.text())?.[1] ?? '';
}
