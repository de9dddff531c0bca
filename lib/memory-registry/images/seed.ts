import type { MemoryRegistry } from '../app.ts';
import type { Image } from './make-image.ts';

/** Puts an image, with all that it needs, into the store as `library/nginx:1.27`; without a tag, by digest only. */
export function seed({ store }: Pick<MemoryRegistry, 'store'>, name: string, image: Image): Image {
  const [repository = '', tag] = name.split(':');
  const put = ({ mediaType, bytes, blobs, children }: Image, tag?: string): void => {
    for (const child of children) put(child);
    for (const blob of blobs) store.putBlob(repository, blob.bytes);
    store.putManifest(repository, { mediaType, bytes }, tag);
  };
  put(image, tag);
  return image;
}
